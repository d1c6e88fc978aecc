"""Takes bounce mail, and keeps what is about mails of ours: `intake.py` reads first, then the doors: `door.py`, `maildir.py`."""
