"""The start page of an admin: worst fault first, balance, parts, charts, failures."""
