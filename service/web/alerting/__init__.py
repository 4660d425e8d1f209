"""The pages of the end-to-end check and of alerts, and the same in the JSON API."""
