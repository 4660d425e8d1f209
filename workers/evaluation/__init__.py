"""`wetread evaluate`: from studies and truth, by the site's reading path, to a folder of results."""
