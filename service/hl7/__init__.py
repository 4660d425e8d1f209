"""Final reports by HL7 v2: the MLLP listener, its answers and counts."""
