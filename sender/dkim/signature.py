"""One DKIM signature per key on a message: which fields are signed, and how the header field is written.

Both signatures cover the same fields and the same body, so header and body are put into canonical form and hashed once; what
each key adds is its own DKIM-Signature field, and its operation.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from sender.dkim import canonical

OVERSIGNED: Final = (
    *("From", "Reply-To", "To", "Cc", "Subject", "Date", "Message-ID"),
    *("MIME-Version", "Content-Type", "Content-Transfer-Encoding"),
    *("List-Unsubscribe", "List-Unsubscribe-Post", "Feedback-ID"),
)
"""Named once more than the mail has them, so that nobody who passes a mail on can add one that readers would show or obey
(RFC 6376 §8.15): another From, a Reply-To, somebody else's unsubscribe link. RFC 8058 §4 wants both List-Unsubscribe fields
signed, Gmail its Feedback-ID."""
SIGNED: Final = ("Sender", "In-Reply-To", "References", "List-Id", "List-Help", "List-Owner", "Auto-Submitted")
"""Signed where they are. A list that passes the mail on may add its own."""

VALID_SECONDS: Final = 7 * 86_400
"""Until `x=`. A relay tries for up to five days (RFC 5321 §4.5.4.1); whoever shows the signature after a week is none."""

_LINE: Final = 76
_BASE64_LINE: Final = 72
_PLANS_KEPT: Final = 100


class SigningKey(NamedTuple):
    """A private key, parsed."""

    algorithm: str
    """The tag `a=`."""
    selector: str
    sign: Callable[[bytes], bytes]
    """From a SHA-256 digest to a signature. Lets other threads of Python run meanwhile."""


class _Plan(NamedTuple):
    """What is signed of a message whose fields have these names."""

    fields: tuple[int, ...]
    """Their places, in the order of `h=`."""
    h: str
    """The value of `h=`, folded."""


class Signer:
    """Signs for one domain with all of its keys. May be used by several threads at once."""

    def __init__(self, domain: str, keys: Sequence[SigningKey]) -> None:
        self.domain = domain
        self._keys = tuple(keys)
        self._plans: dict[tuple[bytes, ...], _Plan] = {}

    def sign(self, message: bytes, now: float) -> bytes:
        """The message with its signatures in front. It must be lines with CRLF; `now` is Unix seconds.

        The same message at the same second gives the same bytes: both algorithms are deterministic.
        """
        head, body = canonical.split(message)
        names, lines = canonical.fields(head)
        plan = self._plans.get(names) or self._plan(names)
        signed = hashlib.sha256(b"".join([lines[place] for place in plan.fields]))
        body_hash = b64encode(hashlib.sha256(canonical.body(body)).digest()).decode("ascii")
        fields = [self._field(key, plan.h, body_hash, int(now), signed.copy()) for key in self._keys]
        return b"".join((*fields, message))

    def _field(self, key: SigningKey, h: str, body_hash: str, now: int, signed: hashlib._Hash) -> bytes:
        """The DKIM-Signature field. It is signed itself, in canonical form, with `b=` empty and without CRLF."""
        value = (
            f"v=1; a={key.algorithm}; c=relaxed/relaxed; d={self.domain};\r\n"
            f" s={key.selector}; t={now}; x={now + VALID_SECONDS};\r\n"
            f" h={h};\r\n"
            f" bh={body_hash};\r\n"
            f" b="
        )
        signed.update(b"dkim-signature:" + value.replace("\r\n ", " ").encode("ascii"))
        text = b64encode(key.sign(signed.digest())).decode("ascii")
        folded = "\r\n ".join([text[start : start + _BASE64_LINE] for start in range(0, len(text), _BASE64_LINE)])
        return f"DKIM-Signature: {value}{folded}\r\n".encode("ascii")

    def _plan(self, names: tuple[bytes, ...]) -> _Plan:
        if len(self._plans) >= _PLANS_KEPT:
            self._plans.clear()
        plan = self._plans[names] = plan_for(names)
        return plan


def plan_for(names: Sequence[bytes]) -> _Plan:
    """Of several fields with one name the lowest is signed first (RFC 6376 §5.4.2)."""
    places: list[int] = []
    named: list[str] = []
    for more, wanted in ((1, OVERSIGNED), (0, SIGNED)):
        for name in wanted:
            found = [place for place, given in enumerate(names) if given == name.lower().encode()]
            places += reversed(found)
            named += [name] * (len(found) + more)
    return _Plan(tuple(places), _folded(named))


def _folded(names: Sequence[str]) -> str:
    """The names with colons between them, on lines of `_LINE` characters."""
    lines = [names[0]]
    for name in names[1:]:
        lines[-1] += ":"
        if len(lines[-1]) + len(name) >= _LINE - len(" h="):
            lines.append("")
        lines[-1] += name
    return "\r\n ".join(lines)
