"""What processes, destinations and tokens report of their state."""
