"""Lists of jobs by filters, with bounded counts, each query under a time limit."""
