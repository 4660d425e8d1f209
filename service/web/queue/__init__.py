"""The page of the queue: filters, failures by cause, and actions on many jobs."""
