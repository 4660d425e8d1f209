"""The DICOM network in the database: pauses of destinations, counts of calling AEs."""
