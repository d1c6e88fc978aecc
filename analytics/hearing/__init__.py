"""Hears what ESPs told: callbacks become facts. `desk.py` reads first; `meaning.py` decides, and waits for nothing."""
