"""Compressed pixel data, checked without decoding it: JPEG, JPEG 2000 and RLE."""
