"""Texts under review, decisions and verified reports in the database."""
