"""The fast receive path: data sets go from the socket to the spool in one thread."""
