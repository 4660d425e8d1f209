"""Server-rendered pages, the JSON API and live updates."""
