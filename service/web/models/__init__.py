"""Models in use: their page, the switches on it, and the same in the JSON API."""
