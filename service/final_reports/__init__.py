"""Final reports that come back from the reporting system: fields, states, matching. Pure."""
