"""Results to their destinations: claim, send, read back, confirm."""
