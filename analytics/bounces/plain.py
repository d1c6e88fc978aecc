"""Bounces that follow no standard: found by what servers are known to write, with flufl.bounce for what they used to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import Message
from typing import Final

from flufl.bounce import all_failures

from analytics.bounces import parsing
from analytics.bounces.base import Action, Notice
from analytics.bounces.judging import judge, words_about
from analytics.bounces.parsing import Part
from events import providers

_FAILED: Final = re.compile(
    "|".join(
        (
            r"undeliver|unable to deliver|not delivered|delivery errors?|returned (?:mail|to sender)|mail(?:er)?[- ]daemon",
            r"could ?n[o']t be (?:delivered|sent)|did ?n[o']t reach|was not reached|permanent(?:ly)? (?:fail|error)",
            r"(?:delivery|mail|message|transfer).{0,30}(?:fail|error|problem|impossible|not possible)",
            r"fail(?:ed|ure).{0,30}(?:deliver|notice|recipient)",
            r"user unknown|(?:unknown|invalid) (?:user|recipient|address)|no such user",
            r"unzustellbar|nicht zugestellt|non (?:remis|distribu)|配信|不能|失敗|nedoru[čc]|no se (?:ha podido|pudo) entregar",
        )
    ),
    re.IGNORECASE | re.DOTALL,
)
_DELAYED: Final = re.compile(
    r"\bdelay(?:ed)?\b.{0,60}|will (?:be retried|keep trying|continue to try|try again)|not yet (?:been )?delivered|"
    r"no action is required on your part|warning: (?:could not send|message)",
    re.IGNORECASE | re.DOTALL,
)
_GIVEN_UP: Final = re.compile(
    r"giv(?:en|ing) up|not going to try again|permanent|final(?:ly)? fail|returned to sender|retry time(?:out)? (?:not|exceeded)",
    re.IGNORECASE,
)
_POSTMASTERS: Final = re.compile(
    r"^(?:mailer-daemon|postmaster|mail-daemon|mailerdaemon|bounces?|abuse)@", re.IGNORECASE
)
_DAEMON: Final = re.compile(r"mail(?:er)?[- ]?daemon|mail delivery (?:sub)?system|postmaster", re.IGNORECASE)
_SOMEBODY: Final = r"([^\s<>()\[\]:;,\"'`|]{1,64}@[^\s<>()\[\]:;,\"'`|@]{1,253})"
_MARKED: Final = re.compile(
    r"(?:rcpt to:|to:|recipients?:|recipient address:|address(?:ee)?:|users?:|(?:mail|message|delivery) to|"
    rf"deliver(?:ed|y)? (?:mail )?to|(?:did not|couldn't) reach|<<<|for|gruppe|groupe|group)\s*<?{_SOMEBODY}",
    re.IGNORECASE,
)
_TRANSCRIPT: Final = re.compile(r"^[45]\d\d(?: [45]\.\d+\.\d+)? <([^\s<>]{1,64}@[^\s<>@]{1,253})>\.\.\. ", re.MULTILINE)
"""Sendmail."""
_LINE_ALONE: Final = re.compile(rf"^[ \t>*-]*<?{_SOMEBODY}>?[ \t]*(?::.*|\.{{3}}.*|[(\[].*|;.*|)$", re.MULTILINE)
_MOST: Final = 20
_MOST_LINES: Final = 5_000
_MOST_PARTS: Final = 40


def notices(message: Message, parts: list[Part], text: str, back_to: str) -> list[Notice]:
    """Whom the notice is about, and why. `text` is what it says above the mail that it gives back, which went to `back_to`.

    Nobody where nothing in it says that a mail was not delivered: who only looks like a bounce must not become one.
    """
    told = dict.fromkeys(_failed_recipients(message))
    if not told and not _FAILED.search(
        f"{parsing.header(message, 'subject')}\n{parsing.header(message, 'from')}\n{text}"
    ):
        return []
    if not told:
        told = dict.fromkeys(_by_flufl(message, parts)) or dict.fromkeys(_in_words(text, _own(message)))
    if not told and back_to:
        told = {back_to: None}
    action: Action = "delayed" if _DELAYED.search(text) and not _GIVEN_UP.search(text) else "failed"
    alone = len(told) == 1
    return [_notice(recipient, action, text, alone=alone) for recipient in list(told)[:_MOST]]


def is_from_a_server(message: Message) -> bool:
    """Whether a mail server wrote it, as opposed to a person's mailbox: Exim marks its bounces as replies, too."""
    senders = parsing.addresses_in(
        " ".join(parsing.header(message, name) for name in ("from", "return-path", "sender"))
    )
    daemon = any(_POSTMASTERS.search(sender) for sender in senders) or bool(
        _DAEMON.search(parsing.header(message, "from"))
    )
    return daemon or message.get("X-Failed-Recipients") is not None


def _failed_recipients(message: Message) -> Iterator[str]:
    """Exim's header names them."""
    for value in message.get_all("X-Failed-Recipients", []):
        yield from parsing.addresses_in(str(value))


def _by_flufl(message: Message, parts: list[Part]) -> list[str]:
    """Its patterns go through every part and every line, some fifty times."""
    payloads = (part.message.get_payload() for part in parts)
    lines = sum(payload.count("\n") for payload in payloads if isinstance(payload, str))
    if lines > _MOST_LINES or len(parts) > _MOST_PARTS:
        return []
    try:
        temporary, permanent = all_failures(message)
    except Exception:  # it has dozens of patterns for mail of strangers; whatever it stumbles over is no bounce
        return []
    found = [address.decode("utf-8", "replace") for address in (*permanent, *temporary)]
    return [address for address in sorted(found) if parsing.addresses_in(address, 1)]


def _own(message: Message) -> set[str]:
    """Whoever got and sent the notice is not whom it is about."""
    headers = " ".join(
        parsing.header(message, name) for name in ("to", "from", "delivered-to", "reply-to", "return-path")
    )
    return {address.lower() for address in parsing.addresses_in(headers)}


_FOR_HELP: Final = re.compile(r"^.*(?:\bcontact\b|\bassistance\b|\bquestions?\b|問).*$", re.IGNORECASE | re.MULTILINE)


def _in_words(text: str, own: set[str]) -> list[str]:
    """What stands behind words like `Recipient:`, else on a line of its own, else the only address there is."""
    text = _FOR_HELP.sub("", text)
    for pattern in (_TRANSCRIPT, _MARKED, _LINE_ALONE):
        marked = [found for match in pattern.finditer(text) for found in parsing.addresses_in(match[1], 1)]
        good = [address for address in marked if not _is_not_meant(address, own)]
        if good:
            return good
    return [address for address in parsing.addresses_in(text) if not _is_not_meant(address, own)][:1]


def _is_not_meant(address: str, own: set[str]) -> bool:
    return address.lower() in own or bool(_POSTMASTERS.search(address))


def _notice(recipient: str, action: Action, text: str, *, alone: bool) -> Notice:
    provider = providers.provider_of(recipient.rpartition("@")[2].lower())
    judged = judge(action, words_about(recipient, text, alone=alone), "", provider, text)
    return Notice(
        recipient=recipient,
        action=action,
        code=judged.reply.code,
        status=judged.reply.enhanced,
        text=judged.reply.text,
        failure_class=judged.failure_class,
        reason=judged.reason,
        hard=judged.hard,
    )
