"""Speaks the DICOM Standard. No database, no Celery, no torch, no environment."""
