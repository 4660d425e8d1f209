"""Final reports that come back, acceptability and drift: the JSON API and the pages."""
