"""What ESPs let their customers attach to a mail, and give back in callbacks: there the reference of ours (`events.esps`) goes.

It takes no time where it is not used, and next to none where it is: constant text around an id that each mail has anyway. ESPs
take these headers out before they send a mail on, so our DKIM signature does not name them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final, NamedTuple

from events.esps import EspName


class _Header(NamedTuple):
    name: str
    before: str
    after: str
    separator: str = "."


_HEADERS: Final[dict[EspName, _Header]] = {
    "brevo": _Header("X-Mailin-custom", "", ""),
    "mailgun": _Header("X-Mailgun-Variables", '{"jetpost": "', '"}'),
    "mailjet": _Header("X-MJ-CustomID", "", ""),
    "postmark": _Header("X-PM-Metadata-jetpost", "", ""),
    "sendgrid": _Header("X-SMTPAPI", '{"unique_args": {"jetpost": "', '"}}'),
    "ses": _Header("X-SES-MESSAGE-TAGS", "jetpost=", "", "_"),  # no dots: docs.aws.amazon.com, API_MessageTag
    "sparkpost": _Header("X-MSYS-API", '{"metadata": {"jetpost": "', '"}}'),
}
"""Resend gives back the Message-ID, and so may others."""


def lines(esps: Collection[EspName], campaign: str, taken: Collection[str]) -> Iterator[tuple[str, str]]:
    """What stands before and after the mail's id, for each of the ESPs. `taken`: names of headers, in lower case, that the
    campaign sets itself; they stay as they are, and such a mail is found by its Message-ID, if the ESP keeps that."""
    for esp in sorted(esps):
        header = _HEADERS.get(esp)
        if header is not None and header.name.lower() not in taken:
            yield f"{header.name}: {header.before}", f"{header.separator}{campaign}{header.after}\r\n"
