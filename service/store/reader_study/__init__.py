"""Reader studies in the database: made, read blind, closed, analyzed."""
