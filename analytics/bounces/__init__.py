"""Bounce mail: what came back to the return path, and what it says of whom. Pure; `read.py` reads first.

- Delivery status notifications: RFC 3464, in other scripts RFC 6533
- Abuse reports: RFC 5965
- Auto-replies: RFC 3834
- and what servers write that follow none of these
"""
