"""Hourly figures in the database: computed from jobs, kept, added up; failed notices; changes."""
