"""Hourly figures in the database: computed from jobs, kept, added up; failures of now; changes."""
