"""Models behind an OpenAI-compatible server: requests, replies, retries, permitted addresses."""
