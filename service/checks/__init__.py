"""What `wetread check` looks at: one small function for each part of a site."""
