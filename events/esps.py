"""ESPs, and how their callbacks find our mails again: each mail carries a reference that the ESP gives back.

    <mail id>.<campaign>        in what an ESP lets its customers attach to a mail
    <mail id>_<campaign>        the same where dots are not allowed
    <mail id>.<campaign>@…      the Message-ID, where nothing was attached

A mail's id is computed from campaign and address, so a recipient that a callback names is held against the reference: nobody
is suppressed for a mail that was somebody else's.
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from events import ids
from events.addresses import identity

EspName: TypeAlias = Literal[
    "brevo", "mailgun", "mailjet", "postmark", "resend", "sendgrid", "ses", "sparkpost", "standard"
]
"""`standard` is for everybody who has no way of their own."""
ESP_NAMES: Final[tuple[EspName, ...]] = get_args(EspName)
GENERIC: Final[EspName] = "standard"

_reference = re.compile(
    rf"<?([a-z2-7]{{{ids.MAIL_ID_LENGTH}}})[._]({ids.CAMPAIGN_ID.pattern})(?:@[^@\s]*)?>?", re.ASCII
).fullmatch


class Reference(NamedTuple):
    """Which mail it is."""

    campaign: str
    mail_id: str

    def is_to(self, address: str) -> bool:
        """Whether the mail was to this address."""
        return bool(address) and ids.mail_id(self.campaign, identity(address)) == self.mail_id


def read_reference(text: str) -> Reference | None:
    """None for what is none of ours."""
    found = _reference(text)
    return None if found is None else Reference(found[2], found[1])
