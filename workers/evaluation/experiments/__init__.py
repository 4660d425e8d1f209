"""Experiments: a model read in cells of prompt, temperature and repeats."""
