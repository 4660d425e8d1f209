"""Rules that every result object must meet before it leaves."""
