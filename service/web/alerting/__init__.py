"""The pages of the end-to-end check and of alerts, with their metrics and the JSON API."""
