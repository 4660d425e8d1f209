"""The DICOM network: calling AEs and destinations, their page, and the pause of a destination."""
