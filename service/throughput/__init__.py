"""Figures of each hour: the balance of studies and jobs, latencies, failures, changes. Pure."""
