"""End to end: a whole campaign through the real processes, and what each of them took."""
