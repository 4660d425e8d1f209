"""One thread that owns the model and answers many callers at once."""
