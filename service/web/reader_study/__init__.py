"""Blinded reader studies: overview, reading page, its requests, and results."""
