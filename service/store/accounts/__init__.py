"""Accounts in the database: people, their passwords and sessions, failed logins, bearer tokens."""
