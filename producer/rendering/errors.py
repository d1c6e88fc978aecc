"""What can go wrong between a template and a mail.

BadTemplate     the campaign cannot be rendered for anyone; raised when it is compiled
Unrenderable    this one recipient's mail cannot be made; the others can
"""


class BadTemplate(ValueError):
    """The template cannot be used; the message says why, and in which line where that is known."""


class Unrenderable(Exception):
    """The mail of this recipient cannot be made from this template and these values; the message is the reason."""
