"""Search for similar studies: files of image vectors, exact cosine, findings and words of texts."""
