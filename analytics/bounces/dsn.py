"""Delivery status notifications (RFC 3464), also in other scripts (RFC 6533)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import Message
from itertools import islice
from typing import Final, get_args

from analytics.bounces import parsing, returned
from analytics.bounces.base import Action, Notice
from analytics.bounces.judging import judge, words_about
from analytics.bounces.parsing import Part
from events import providers

KINDS: Final = frozenset({"message/delivery-status", "message/global-delivery-status"})
_ACTIONS: Final[tuple[Action, ...]] = get_args(Action)
_STATUS: Final = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_COMMENT: Final = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\s*\((.{4,})\)\s*$")
_UNICODE_ADDRESS: Final = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")
_MOST_RECIPIENTS: Final = 20
"""To judge one takes up to 20 ms, where its words are made for that. A mail of ours has one."""
_MOST_GROUPS: Final = 400
_SHORTEST_WORDS: Final = 4
_OPENSMTPD_GAVE_UP: Final = re.compile(r"\bEnvelope expired$")
"""OpenSMTPD (bounce.c) tells of a mail that it gave up in the words of a delay, `Action: delayed` included."""


def notices(parts: list[Part], text: str) -> list[Notice]:
    """Of every recipient in every status part. `text` is what the notice says in words, for recipients without any."""
    groups = (fields for part in parts if part.kind in KINDS for fields in _groups(part.message))
    return _notices(list(islice(groups, _MOST_GROUPS)), text)


def notices_in(text: str) -> list[Notice]:
    """The same of a notice that came with its parts in disorder: the fields stand somewhere in the text."""
    return _notices(list(islice(_split(text), _MOST_GROUPS)) if "final-recipient:" in text.lower() else [], text)


def _notices(groups: list[dict[str, str]], text: str) -> list[Notice]:
    """Of groups about the same the first counts."""
    reporter = next((fields["reporting-mta"] for fields in groups if "reporting-mta" in fields), "")
    about: dict[tuple[str, Action], dict[str, str]] = {}
    for fields in groups:
        recipient, _ = _addresses(fields)
        if recipient and len(about) < _MOST_RECIPIENTS:
            about.setdefault((recipient.lower(), _action(fields.get("action", ""))), fields)
    told = _Words(text)
    return [_notice(fields, told, reporter) for fields in about.values()]


class _Words:
    """What a notice says in words, searched once for each recipient whose fields have none."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._known: dict[str, str] = {}

    def about(self, recipient: str) -> str:
        if recipient not in self._known:
            self._known[recipient] = words_about(recipient, self.text)
        return self._known[recipient]


def _groups(part: Message) -> Iterator[dict[str, str]]:
    """The blocks of fields; the standard parser makes a message of each, unless the part is encoded."""
    payload = part.get_payload()
    if isinstance(payload, list):
        for block in payload:
            if isinstance(block, Message):
                yield from _split(_as_text(block))
    else:
        yield from _split(parsing.text_of(part) or str(payload)[: parsing.MAX_TEXT])


def _as_text(block: Message) -> str:
    lines = [f"{name}: {value}" for name, value in block.items()]
    body = block.get_payload()
    return "\n".join(lines) + ("\n\n" + body if isinstance(body, str) else "")


_EMPTY_LINE: Final = re.compile(r"\n[ \t]*\n")
_NEXT_ONE: Final = re.compile(r"\n(?=(?:Original-Recipient:.*\n)?Final-Recipient:)", re.IGNORECASE)


def _split(text: str) -> Iterator[dict[str, str]]:
    """Recipients are set apart by an empty line, which some servers forget."""
    for block in _EMPTY_LINE.split(text.replace("\r\n", "\n")):
        several = block.lower().count("final-recipient:") > 1
        for one in _NEXT_ONE.split(block) if several else [block]:
            if fields := returned.fields_in(one):
                yield fields


def _addresses(fields: dict[str, str]) -> tuple[str, str]:
    """Final and original recipient; the first is empty of the block about the message as a whole."""
    final, original = address(fields.get("final-recipient", "")), address(fields.get("original-recipient", ""))
    return final or (original if "action" in fields else ""), original


def _notice(fields: dict[str, str], told: _Words, reporter: str) -> Notice:
    recipient, original = _addresses(fields)
    action = _action(fields.get("action", ""))
    status = _STATUS.search(fields.get("status", ""))
    kind, _, words = fields.get("diagnostic-code", "").partition(";")
    words = words or kind or fields.get("x-notes", "") or _comment(fields.get("status", ""))
    if len(words.strip()) < _SHORTEST_WORDS:
        words = told.about(recipient)
    if action == "delayed" and _OPENSMTPD_GAVE_UP.search(words.strip()):
        action = "failed"
    if kind.strip().lower() == "x-unix":  # a local program's words are no verdict on the address (RFC 3464 §2.3.6)
        words, status = f"451 {words}", None
    provider = _provider(recipient, fields.get("remote-mta", ""), reporter)
    judged = judge(action, words, status[0] if status else "", provider, told.text)
    return Notice(
        recipient=recipient,
        original=original,
        action=action,
        code=judged.reply.code,
        status=_exact(status[0] if status else "", judged.reply.enhanced),
        text=judged.reply.text,
        failure_class=judged.failure_class,
        reason=judged.reason,
        hard=judged.hard,
    )


def _comment(status: str) -> str:
    """`5.4.4 (no such host)`: the words behind the code (RFC 3464 §2.3.4)."""
    found = _COMMENT.search(status)
    return found[1] if found else ""


def _exact(status: str, replied: str) -> str:
    """Exim writes `5.0.0` whatever the server's reply says."""
    return replied if not status or (status.endswith(".0.0") and replied) else status


def _action(value: str) -> Action:
    """`failed (bounced)` and `Failed` are both written. Who says nothing reports a failure."""
    word = re.split(r"[\s(;]", value.strip().lower(), maxsplit=1)[0]
    return next((action for action in _ACTIONS if action == word), "failed")


def address(value: str) -> str:
    """The address in `rfc822; ann@example.com`, `utf-8; \\x{…}@example.com` and what else is written there; empty for none."""
    kind, semicolon, rest = value.partition(";")
    rest = (rest if semicolon else kind).strip()
    if "\\x{" in rest:
        rest = _UNICODE_ADDRESS.sub(lambda match: _character(match[1]), rest)
    rest = re.sub(r"\s*\([^()]*\)\s*$", "", rest).strip("<> \t")
    found = parsing.addresses_in(rest, 1)
    rest = rest.strip("<>\"' ")
    return found[0] if found else rest if "@" in rest and " " not in rest else ""


def _character(digits: str) -> str:
    number = int(digits, 16)
    return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else "\N{REPLACEMENT CHARACTER}"


def _provider(recipient: str, *servers: str) -> str:
    """Who gave the reply: told from the address, or from the name of a server that the notice tells."""
    found = providers.provider_of(recipient.rpartition("@")[2].lower())
    if found != "other":
        return found
    hosts = (re.split(r"[\s(]", server.rpartition(";")[2].strip().lower(), maxsplit=1)[0] for server in servers)
    known = (told for host in hosts for told in (providers.provider_of_exchanger(host), _by_parents(host)))
    return next((provider for provider in known if provider != "other"), "other")


def _by_parents(host: str) -> str:
    """`blu004-omc4s1.hotmail.com` is a server of hotmail.com."""
    labels = host.split(".")
    parents = (providers.provider_of(".".join(labels[place:])) for place in range(1, len(labels) - 1))
    return next((provider for provider in parents if provider != "other"), "other")
