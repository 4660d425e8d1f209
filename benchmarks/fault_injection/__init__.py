"""The parts of `benchmarks/faults.py`: a site, its senders, the faults, and the verification."""
