"""Answers to a person's questions about the image of a draft."""
