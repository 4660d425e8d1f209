"""SQL statements that are compiled once: of arriving Instances, and of the jobs made of studies."""
