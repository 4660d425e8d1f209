"""STOW-RS requests: multipart bodies, their parts, the response module."""
