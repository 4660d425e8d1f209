"""Associations that we request: C-ECHO, C-STORE, storage commitment."""
