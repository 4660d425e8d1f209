"""Decoding in child processes under limits of time and memory."""
