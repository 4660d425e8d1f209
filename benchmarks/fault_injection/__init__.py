"""What `benchmarks/faults.py` is made of: a site, its senders, the faults, and the account."""
