"""Durable storage of received data sets."""
