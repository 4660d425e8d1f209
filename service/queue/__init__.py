"""Ids of jobs and questions to the broker."""
