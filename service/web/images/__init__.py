"""Images for a browser: as PNG, and as 16-bit levels for the viewer."""
