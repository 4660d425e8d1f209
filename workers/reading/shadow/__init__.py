"""Readings by shadow models: compared with the draft, never delivered."""
