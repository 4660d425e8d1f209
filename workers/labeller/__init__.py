"""Report text to coded findings, and whether it is report language."""
