"""Recipients: the audience file read as a stream, its addresses, its duplicates, and what was unusable."""
