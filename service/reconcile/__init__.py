"""Which studies of an archive are not here: compared, fetched, on a schedule."""
