"""The models that can be loaded."""
