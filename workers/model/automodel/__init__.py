"""Checkpoints that the transformers library implements, answered in batches by its `generate`."""
