"""Vectors of images and texts of reports in the database, for the search for similar studies."""
