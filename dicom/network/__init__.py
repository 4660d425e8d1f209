"""Sockets to peers: total time limits, keepalive, TLS of connections that we open."""
