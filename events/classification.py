"""What a refusal means for the mail: class, reason, whether the address is dead, when to come back.

The answers stand in `classification_rules`, a table that is read from top to bottom; the first rule that matches decides.
Whatever no rule knows is told from the first digit alone, and never hard: a wrong hard bounce costs a subscriber.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from events import replies
from events.classification_rules import RULES, Rule
from events.replies import Reply
from events.schemas import FailureClass

_ADDRESS: Final = re.compile(r"[^\s<>()\[\]\"',;:]{1,64}@[^\s<>()\[\]\"',;:]{1,253}")


class Verdict(NamedTuple):
    failure_class: FailureClass
    reason: str
    """Our own short word, such as `mailbox_full`."""
    suppress: bool = False
    """The address will never work."""
    retry_after_seconds: float | None = None
    """The server's own hint."""


def classify(reply: Reply, provider: str = "", *, about_recipient: bool = True) -> Verdict:
    """Judges a reply that is not a success, or code 0 for a connection that failed.

    `about_recipient`: the reply came to RCPT TO, to DATA or to the message. What came earlier (greeting, MAIL FROM) says
    nothing of the address, so it is a block where the words would make it a hard bounce.
    """
    if reply.code == 0:
        return Verdict("transient", "connection")
    rule = rule_of(reply, provider)
    failure_class, reason = (rule.failure_class, rule.reason) if rule else _by_code(reply.code)
    if failure_class == "hard" and not about_recipient:
        failure_class, reason = "block", "sender_refused"
    hint = replies.retry_after_seconds(reply.text) if failure_class in {"transient", "throttled"} else None
    return Verdict(failure_class, reason, failure_class == "hard", hint)


def rule_of(reply: Reply, provider: str = "") -> Rule | None:
    """The rule that decides, for those who want to know why.

    Addresses in the words are not read: what somebody is called says nothing of why their mail was refused.
    """
    if "@" in reply.text:
        reply = reply._replace(text=_ADDRESS.sub("@", reply.text))
    return next((rule for rule in RULES if rule.matches(reply, provider)), None)


def _by_code(code: int) -> tuple[FailureClass, str]:
    return ("transient", "temporary") if 400 <= code < 500 else ("soft", "unspecified")
