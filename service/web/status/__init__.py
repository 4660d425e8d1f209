"""The state of the system in words: processes, broker, database, what needs attention."""
