"""What the documents for the quality department read from the database: one period, no patient data."""
