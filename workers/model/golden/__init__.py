"""Checkpoints compared with the values of the original code."""
