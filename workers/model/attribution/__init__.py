"""Yes-or-no questions, and which part of an image answers them."""
