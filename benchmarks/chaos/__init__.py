"""Breaks everything at random moments, and counts what became of every mail. `__main__.py` reads first."""
