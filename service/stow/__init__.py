"""The STOW-RS receiver: requests, uploads, and its server."""
