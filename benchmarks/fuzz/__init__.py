"""What strangers send, mutated, through every parser that reads such. `running.py` reads first; `part.py` is the command."""
