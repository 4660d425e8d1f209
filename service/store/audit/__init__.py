"""The audit trail in the database: appended with what is audited, searched, exported."""
