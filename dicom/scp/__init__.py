"""The storage SCP: listener, negotiation, storage commitment, TLS."""
