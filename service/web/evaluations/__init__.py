"""Evaluations and documents for the quality department: their list, and the files, without script."""
