"""Images as PNG for a browser."""
