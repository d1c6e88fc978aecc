"""The campaign file: TOML, read as a whole, so that everything wrong with it is told at once (docs/campaign-file.md)."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, get_args

import msgspec

from events import ids
from events.schemas import DeliveryPolicy, Tracking
from producer.campaign import audiences, locate, mailbox, routing, safety, timing, tracking
from producer.campaign.audiences import AudienceKeys
from producer.campaign.compiled import Mailbox, Unsubscribe
from producer.campaign.problems import Findings
from producer.campaign.safety import Safety
from producer.campaign.table import Table
from producer.campaign.timing import Timing
from producer.recipients.addresses import normalise
from producer.rendering.headers import is_field_name
from producer.rendering.message import OWN_HEADERS
from producer.settings import Database

KEYS: Final = (
    *("name", "id", "from", "reply_to", "return_path", "subject", "html", "text", "audience", "pool", "policy"),
    *("list", "routes", "headers", "defaults", "list_unsubscribe", "feedback_id", "sample"),
    *timing.KEYS,
    *safety.KEYS,
    tracking.KEY,
)
_UNSUBSCRIBE_KEYS: Final = ("link", "mailto")
_ADDRESS_FIX: Final = 'Write it as "Ann Example <ann@example.com>" or "ann@example.com".'
_TRANSPORT_HEADERS: Final = frozenset({"received", "dkim-signature", "authentication-results", "return-receipt-to"})
"""Written by servers on the way, and not by who composes a mail."""
_variable_name = re.compile(r"[^\W\d]\w*").fullmatch
_feedback_piece = re.compile(r"[!-9;-~]*").fullmatch


class Context(msgspec.Struct, frozen=True):
    """What a campaign file is judged against."""

    now: float
    """Unix seconds."""
    known_pools: Collection[str] | None = None
    """None: pools are not known here, and any name passes."""
    start: float | None = None
    """Given in place of the file's (`timing.read`)."""
    databases: Mapping[str, Database] = {}
    """Those of the settings, by name."""


class CampaignFile(msgspec.Struct, frozen=True, kw_only=True):
    """The campaign as its file states it, each value checked by itself."""

    name: str
    id: str
    from_: Mailbox
    reply_to: tuple[Mailbox, ...]
    return_path: str
    subject: str
    html: Path
    text: Path | None
    audience: AudienceKeys
    pool: str
    routes: routing.Routes
    """By mailbox provider the pools to use, the preferred one first; where it has no entry: `pool`."""
    policy: DeliveryPolicy
    list: str
    """Whose subscribers it goes to; empty: no list's."""
    timing: Timing
    safety: Safety
    headers: tuple[tuple[str, str], ...]
    defaults: dict[str, Any]
    unsubscribe: Unsubscribe
    feedback_id: tuple[str, ...]
    tracking: Tracking
    sample: dict[str, Any] | None
    """A recipient to preview with: `email`, and values of variables."""


def load(path: Path, context: Context) -> tuple[CampaignFile | None, Findings]:
    """None where there are problems; the findings have them all."""
    findings = Findings(path)
    document = _read(path, findings)
    if document is None:
        return None, findings
    try:
        values = tomllib.loads(document)
    except tomllib.TOMLDecodeError as error:
        _tell_syntax(str(error), findings)
        return None, findings
    findings.lines, findings.document = locate.lines_of_keys(document), document
    parsed = _parse(Table(values, findings), path.parent, context)
    return (None if findings.problems else parsed), findings


def _read(path: Path, findings: Findings) -> str | None:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        findings.problem("", f"It cannot be read: {error.strerror or error}.", "Check the path.")
    except UnicodeDecodeError:
        findings.problem("", "It is not UTF-8 text.", "Save it as UTF-8, which TOML demands.")
    return None


def _tell_syntax(message: str, findings: Findings) -> None:
    found = re.search(r" \(at line (\d+), column (\d+)\)", message)
    where = f" in column {found[2]}" if found else ""
    fact = f"It is not valid TOML{where}: {re.sub(r' [(]at .*[)]', '', message)}."
    findings.elsewhere(
        findings.path, int(found[1]) if found else None, "", fact, "Texts need quotes, keys an equals sign."
    )


def _parse(table: Table, folder: Path, context: Context) -> CampaignFile | None:
    table.refuse_unknown(KEYS)
    for key, example in _REQUIRED.items():
        table.require(key, example)
    name = table.header_text("name") or ""
    from_ = table.parsed("from", mailbox.parse, _ADDRESS_FIX) or Mailbox("")
    pool, routes = routing.read(table, context.known_pools)
    campaign_id = _id(table, name, context.now)
    return CampaignFile(
        name=name,
        id=campaign_id,
        from_=from_,
        reply_to=_mailboxes(table, "reply_to"),
        return_path=_address(table, "return_path") or from_.address,
        subject=table.header_text("subject") or "",
        html=folder / (table.text("html") or ""),
        text=folder / text if (text := table.text("text")) else None,
        audience=audiences.read(table, folder, context.databases),
        pool=pool,
        routes=routes,
        policy=table.choice("policy", get_args(DeliveryPolicy)) or "at_most_once",
        list=_list(table),
        timing=timing.read(table, context.now, context.start),
        safety=safety.read(table),
        headers=_headers(table),
        defaults=_defaults(table),
        unsubscribe=_unsubscribe(table),
        feedback_id=_feedback_id(table, campaign_id, pool, from_.address),
        tracking=tracking.read(table),
        sample=_sample(table),
    )


_REQUIRED: Final[Mapping[str, str]] = {
    "name": '"Spring sale"',
    "from": '"Ann Example <ann@example.com>"',
    "subject": '"Hello {{ first_name }}"',
    "html": '"newsletter.html"',
    "audience": '"audience.csv"',
}


def _id(table: Table, name: str, now: float) -> str:
    given = table.text("id")
    if given is None:
        return default_id(name, now)
    if not ids.is_campaign_id(given):
        fix = f'Use lower-case letters, digits and inner hyphens, 1 to 40 of them, such as "{slug(given) or "spring-sale"}".'
        table.problem("id", f"{given!r} cannot be an id.", fix)
    return given


def _list(table: Table) -> str:
    given = table.text("list") or ""
    if given and not ids.is_campaign_id(given):
        fix = f'Use lower-case letters, digits and inner hyphens, 1 to 40 of them, such as "{slug(given) or "newsletter"}".'
        table.problem("list", f"{given!r} cannot be the name of a list.", fix)
    return given


def default_id(name: str, now: float) -> str:
    """The name and the day (UTC): what a campaign without an `id` is called."""
    return f"{slug(name)[:29].strip('-') or 'campaign'}-{datetime.fromtimestamp(now, UTC):%Y-%m-%d}"


def slug(text: str) -> str:
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii").lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_text).strip("-")[:40].strip("-")


def _address(table: Table, key: str) -> str | None:
    return table.parsed(key, lambda text: normalise(text).address, 'Write it as "bounces@example.com", without a name.')


def _mailboxes(table: Table, key: str) -> tuple[Mailbox, ...]:
    value = table.raw(key)
    if not isinstance(value, list):
        found = table.parsed(key, mailbox.parse, _ADDRESS_FIX)
        return (found,) if found else ()
    boxes = [Table({key: item}, table.findings).parsed(key, mailbox.parse, _ADDRESS_FIX) for item in value]
    return tuple(box for box in boxes if box)


def _headers(table: Table) -> tuple[tuple[str, str], ...]:
    headers = table.table("headers")
    if headers is None:
        return ()
    found = []
    for name in headers.names():
        value = headers.header_text(name)
        if not is_field_name(name):
            headers.problem(name, f"{name!r} cannot be the name of a header.", "Use letters, digits and hyphens.")
        elif name.lower() in OWN_HEADERS or name.lower().startswith("content-"):
            headers.problem(
                name, "Jetpost writes this header itself.", "Remove it; there may be a key of its own for it."
            )
        elif name.lower() in _TRANSPORT_HEADERS or name.lower().startswith(("resent-", "arc-")):
            headers.problem(name, "Mail servers write this header on the way.", "Remove it.")
        elif value is not None:
            found.append((name, value))
    return tuple(found)


def _defaults(table: Table) -> dict[str, Any]:
    defaults = table.table("defaults")
    if defaults is None:
        return {}
    for name, value in defaults.items():
        if not _variable_name(name):
            defaults.problem(name, "Templates cannot name this variable.", "Use letters, digits and underscores.")
        if not isinstance(value, str | int | float):
            defaults.problem(
                name, "It is neither text nor number.", 'Write it in quotes, such as first_name = "there".'
            )
    return dict(defaults.items())


def _unsubscribe(table: Table) -> Unsubscribe:
    match table.raw("list_unsubscribe"):
        case None:
            return Unsubscribe()
        case bool(link):
            if not link:
                fix = "Set it to true unless this is not marketing: Gmail and Yahoo refuse bulk mail without it."
                table.findings.warning("list_unsubscribe", "Mails will have no List-Unsubscribe header.", fix)
            return Unsubscribe(link)
        case str(address):
            bare = Table({"list_unsubscribe": address.removeprefix("mailto:")}, table.findings)
            return Unsubscribe(mailto=_address(bare, "list_unsubscribe") or "")
        case _:
            return _unsubscribe_table(table)


def _unsubscribe_table(table: Table) -> Unsubscribe:
    inner = table.table("list_unsubscribe")
    if inner is None:
        return Unsubscribe()
    inner.refuse_unknown(_UNSUBSCRIBE_KEYS)
    link = inner.of_type("link", bool)
    return Unsubscribe(link is not False, _address(inner, "mailto") or "")


def _feedback_id(table: Table, campaign: str, pool: str, from_: str) -> tuple[str, ...]:
    """Campaign, pool, kind and sender (Gmail's feedback loop wants the sender last, the same in all mails)."""
    given = table.header_text("feedback_id")
    if given is None:
        sender = slug(from_.rpartition("@")[2].rpartition(".")[0])[:15].strip("-")
        return (campaign, pool, "campaign", sender if len(sender) >= 5 else f"{sender}-mail".strip("-"))
    pieces = tuple(given.split(":"))
    if len(pieces) > 4 or not all(map(_feedback_piece, pieces)) or not 5 <= len(pieces[-1]) <= 15:
        fix = 'Write up to three free pieces and a sender id of 5 to 15 characters, such as "sale:shop:news:acme-mail".'
        table.problem("feedback_id", f"{given!r} cannot be a Feedback-ID.", fix)
    return pieces if len(pieces) > 1 else (campaign, pool, "campaign", *pieces)


def _sample(table: Table) -> dict[str, Any] | None:
    if isinstance(table.raw("sample"), str):
        table = Table({"sample": {"email": table.raw("sample")}}, table.findings)
    inner = table.table("sample")
    if inner is None:
        return None
    inner.require("email", '"ann@example.com"')
    _address(inner, "email")
    return dict(inner.items())
