"""Final reports in the database: taken once, matched with studies, superseded by later ones."""
