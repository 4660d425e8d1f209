"""Statistics of measured reading: metrics, intervals, agreement and drift.

Pure functions over arrays and strings: numpy and scipy, no torch, no database, no web, no module of
ours outside this package. docs/evaluation.md defines each figure for its readers.
"""
