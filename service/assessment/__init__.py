"""What one evaluation of a model found: rows of studies, figures, subgroups, errors, comparison, report.

Pure functions over the rows of `per_study.csv`: no torch, no database, no web. `service.evaluation`
holds the statistics.
"""
