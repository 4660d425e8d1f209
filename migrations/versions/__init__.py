"""One reversible step a file, named by intent."""
