"""What results say: the draft, codes, phrases, regions, copied attributes."""
