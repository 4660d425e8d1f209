"""Drift of input, output and performance: what is measured, charts and their false alarms. Pure."""
