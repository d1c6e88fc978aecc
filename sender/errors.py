"""What can go wrong in a sender.

BusError (events.errors)
└── RetryLater
    └── DictionaryMissing    a campaign's mails cannot be read yet
"""

from events.errors import RetryLater


class DictionaryMissing(RetryLater):
    """The campaign's dictionary is not in the object store (yet): its mails wait."""
