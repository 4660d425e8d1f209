"""Drift in the database: rows, reference periods, charts and alerts."""
