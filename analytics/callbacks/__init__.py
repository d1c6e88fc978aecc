"""What ESPs tell after they took a mail: who says so, and what it means in our words. Pure: no web framework, no waiting.

`base.py` reads first; then one file per ESP, each with the vendor's page that it follows; `registry.py` knows them all.
"""
