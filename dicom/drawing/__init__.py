"""Fonts, text layout and pages of text."""
