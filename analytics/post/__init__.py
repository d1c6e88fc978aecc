"""Takes bounce mail, and keeps what is about mails of ours.

`intake.py` reads first, then the doors: `door.py` (LMTP and SMTP), `maildir.py`, `imap.py`.
"""
