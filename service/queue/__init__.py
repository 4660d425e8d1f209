"""Job ids to the broker."""
