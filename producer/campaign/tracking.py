"""`tracking` in a campaign file, and what is told about it. Nothing is tracked that the file does not ask for."""

from __future__ import annotations

import email
import email.policy
from typing import Final

from events.schemas import Tracking
from producer.campaign.problems import Findings
from producer.campaign.table import Table

KEY: Final = "tracking"
_KEYS: Final = ("opens", "clicks")

CLIPPED_AT: Final = 102 * 1024
"""Bytes of HTML from which on Gmail shows a mail only in part."""


def read(table: Table) -> Tracking:
    match table.raw(KEY):
        case None:
            return Tracking()
        case bool(both):
            return Tracking(both, both)
        case _:
            inner = table.table(KEY)
            if inner is None:
                return Tracking()
            inner.refuse_unknown(_KEYS)
            return Tracking(*(inner.of_type(key, bool) is True for key in _KEYS))


def tell_left_alone(links: tuple[str, ...], findings: Findings) -> None:
    for link in links:
        fix = "There is something of the recipient in it; it works as it is. To count it, let it be the same in every mail."
        findings.warning(KEY, f"Clicks on {link} are not counted.", fix)


def tell_clipped(message: bytes, findings: Findings) -> None:
    """About a mail as it would be sent."""
    parsed = email.message_from_bytes(message, policy=email.policy.compat32)
    for part in parsed.walk():
        content = part.get_payload(decode=True) if part.get_content_type() == "text/html" else None
        if isinstance(content, bytes) and len(content) > CLIPPED_AT:
            fact = f"A mail has {len(content) // 1024} KB of HTML: Gmail shows the first {CLIPPED_AT // 1024} and hides the rest."
            findings.warning("html", fact, "Make it shorter; the unsubscribe link stands at its end, as a rule.")
