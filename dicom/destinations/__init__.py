"""Where results go: DIMSE, Orthanc, DICOMweb, a folder; comparison with what was sent."""
