"""Drivers hand mails to the next server: one module each, behind the seam in `base`."""
