"""ETags, idempotency keys and cursors of the JSON API."""
