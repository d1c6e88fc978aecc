"""The mailbox simulator: a real SMTP server whose recipients say how it answers. `server.py` reads first."""
