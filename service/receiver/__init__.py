"""The receiver: calling AEs, admission, intake, jobs of released associations."""
