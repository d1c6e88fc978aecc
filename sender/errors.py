"""What can go wrong in a sender.

SenderError
└── DkimKeyUnusable          a key that is set cannot sign; the sender does not start

BusError (events.errors)
└── RetryLater
    ├── DictionaryMissing    a campaign's mails cannot be read yet
    └── DictionaryUnreadable this sender cannot read them at all
"""

from events.errors import RetryLater


class SenderError(Exception):
    """Something that the operator can mend; the message says how."""


class DkimKeyUnusable(SenderError):
    """A DKIM key cannot be used as it is set. Mails that were to be signed are never sent unsigned in its place."""


class DictionaryMissing(RetryLater):
    """The campaign's dictionary is not in the object store (yet): its mails wait."""


class DictionaryUnreadable(RetryLater):
    """The campaign's dictionary is damaged, or of a newer release than this sender: its mails wait for another one."""
