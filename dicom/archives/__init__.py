"""What an archive holds, listed and fetched: DIMSE, Orthanc, DICOMweb."""
