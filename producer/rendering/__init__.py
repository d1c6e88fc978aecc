"""From a compiled campaign and a recipient to the bytes of a mail. `renderer.py` reads first."""
