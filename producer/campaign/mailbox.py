"""Addresses with names, as people write them: `Ann Example <ann@example.com>`."""

from __future__ import annotations

import re
from typing import Final

from producer.campaign.compiled import Mailbox
from producer.recipients.addresses import BadAddress, normalise

_named: Final = re.compile(r"(?P<name>[^<>]*)<(?P<address>[^<>]*)>\s*").fullmatch
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def parse(text: str) -> Mailbox:
    """The mailbox, its address normalised. Raises `BadAddress`."""
    if _CONTROL.search(text):
        raise BadAddress("There is a line break or another control character in it.")
    if found := _named(text):
        return Mailbox(normalise(found["address"]).address, _unquoted(found["name"].strip()))
    return Mailbox(normalise(text).address)


def _unquoted(name: str) -> str:
    if len(name) >= 2 and name[0] == name[-1] == '"':
        return re.sub(r"\\(.)", r"\1", name[1:-1])
    return name
