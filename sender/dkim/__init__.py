"""DKIM (RFC 6376, RFC 8463): what mails are signed with, how, and how a signature is checked. `signing.py` reads first."""
