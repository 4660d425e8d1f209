"""Model profiles: what a site's model is sent, how its answers are read, what it cannot do."""
