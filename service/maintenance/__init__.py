"""Retention, recall, backup, repeated jobs, and the comparison of spool and database."""
