"""What DNS says, held against what it must say of a key that signs, and of DMARC. Pure: who asks is elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from sender.dkim import records
from sender.dkim.records import BadRecord, Record

State: TypeAlias = Literal["published", "missing", "differs", "revoked", "several", "unreadable"]

_POLICIES: Final = ("none", "quarantine", "reject")


class Finding(NamedTuple):
    """What was found under one name."""

    name: str
    state: State
    said: str = ""
    """More about it, for people: why it is of no use, or what it says."""

    @property
    def is_good(self) -> bool:
        return self.state == "published"


def of_key(expected: Record, found: Sequence[str]) -> Finding:
    """`found` are the TXT records of the key's name, each a whole text (RFC 6376 §3.6.2.2: there is to be one)."""
    if not found:
        return Finding(expected.name, "missing", "there is no such TXT record")
    if len(found) > 1:
        return Finding(
            expected.name, "several", f"there are {len(found)} TXT records, and verifiers may take any of them"
        )
    try:
        state, said = _compare(expected.text, found[0])
    except BadRecord as error:
        return Finding(expected.name, "unreadable", str(error))
    return Finding(expected.name, state, said)


def _compare(expected: str, found: str) -> tuple[State, str]:
    """Raises `BadRecord`."""
    ours, theirs = records.parse(expected), records.parse(found)
    if not theirs.data:
        return "revoked", "p= is empty: signatures with this key are refused"
    if theirs.kind != ours.kind:
        return "differs", f"it is of a key for {theirs.kind}, and that of the settings is for {ours.kind}"
    if theirs.data != ours.data:
        return "differs", "it is of another key than that of the settings"
    is_test = "y" in records.tags_of(found).get("t", "").split(":")
    return "published", "as a test (t=y): take that out when it works" if is_test else ""


def dmarc_names(domain: str) -> Iterator[str]:
    """The names under which the policy for mails from a domain may stand, the nearest first (RFC 7489 §6.6.3; walking up to the
    last two labels stands in for its list of public suffixes)."""
    labels = domain.split(".")
    return (f"_dmarc.{'.'.join(labels[start:])}" for start in range(max(1, len(labels) - 1)))


def dmarc_records(found: Sequence[str]) -> list[str]:
    """Those of a name's TXT records that are of DMARC: the others do not count (RFC 7489 §6.6.3)."""
    return [text for text in found if "".join(text.partition(";")[0].split()) == "v=DMARC1"]


def of_dmarc(name: str, found: Sequence[str], author: str, signer: str) -> Finding:
    """`found` are the DMARC records of the name, `author` is the domain of From and `signer` that of the key."""
    if not found:
        return Finding(name, "missing", f"there is no DMARC record for {author}, nor for a domain above it")
    if len(found) > 1:
        return Finding(name, "several", f"there are {len(found)} DMARC records, and verifiers take none then")
    try:
        tags = records.tags_of(found[0])
    except BadRecord as error:
        return Finding(name, "unreadable", str(error))
    policy = tags.get("p", "").lower()
    if policy not in _POLICIES:
        return Finding(name, "unreadable", f"p={tags.get('p', '')} is no policy: none, quarantine or reject")
    if tags.get("adkim", "r").lower() == "s" and author != signer:
        return Finding(
            name,
            "differs",
            f"adkim=s wants signatures of {author} itself, and the key is of {signer}: make one for {author}",
        )
    return Finding(name, "published", f"p={policy}")
