"""Audiences from the user's database: `reader.py` reads first, `connection.py` is the only door to ADBC."""
