"""The FastAPI application of the JSON API, and its OpenAPI description."""
