"""A bounded parser of DICOM headers that are not trusted."""
