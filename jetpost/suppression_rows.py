"""Suppression entries as rows of CSV: what `jetpost suppression export` writes and `import` reads, that of ESPs included."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from events import ids, suppression
from events.suppression import REASONS, Entry, Hashing, Reason
from producer.recipients.addresses import BadAddress, normalise
from producer.recipients.audience import find_address_column, find_column
from producer.recipients.csv_reader import CsvReader
from producer.recipients.rows import Rejected, Row

COLUMNS: Final = ("address", "hash", "list", "reason", "source", "added_at", "expires_at")
"""Of an export. Times are UTC (RFC 3339); an entry without `expires_at` never ends, one without `list` holds for all."""

_REASONS: Final[dict[str, Reason]] = {
    **{reason: reason for reason in REASONS},
    **dict.fromkeys(("bounce", "bounced", "hard", "hardbounce", "invalid", "invalid_email"), "hard_bounce"),
    **dict.fromkeys(("soft", "softbounce", "soft_bounced"), "soft_bounce"),
    **dict.fromkeys(("complained", "spam", "spamcomplaint", "spam_complaint", "spam_report", "abuse"), "complaint"),
    **dict.fromkeys(("unsubscribed", "unsubscribes", "unsub", "opt_out", "optout"), "unsubscribe"),
    **dict.fromkeys(("manualsuppression", "manual_suppression", "blocklist", "blocklisted"), "manual"),
}
"""What others call them: words of SES, SendGrid, Mailgun, Postmark, SparkPost and Brevo exports."""


class Defaults(NamedTuple):
    """What stands where a row says nothing."""

    list: str
    reason: Reason
    source: str
    at: float
    expires_at: float | None


class WrongCell(ValueError):
    """A cell cannot be used; the message says why."""


def cells(entry: Entry, hashing: Hashing) -> tuple[str, ...]:
    """The row of an entry; with the hash where the address is kept nowhere."""
    shown = "" if entry.address else suppression.spell(entry.key, hashing)
    expires = "" if entry.expires_at is None else moment(entry.expires_at)
    return (entry.address, shown, entry.list, entry.reason, entry.source, moment(entry.at), expires)


def moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Columns(NamedTuple):
    """Which column of a file means what; "" where there is none."""

    address: str
    hash: str
    others: tuple[str, ...]
    """For list, reason, source, added_at and expires_at."""

    @classmethod
    def of(cls, names: Sequence[str], address: str | None) -> Columns:
        """Raises `WrongCell` where nothing says whom the rows are about."""
        chosen = address or find_column("address", names) or find_address_column(names) or ""
        hash_ = find_column("hash", names) or ""
        if (address and address not in names) or not (chosen or hash_):
            missing = f"no column {address!r}" if address else "no column with addresses"
            raise WrongCell(f"there is {missing}; the columns are {', '.join(names)}. Say which one with --column")
        return cls(chosen, hash_, tuple(find_column(name, names) or "" for name in COLUMNS[2:]))


def read(reader: CsvReader, columns: Columns, defaults: Defaults, hashing: Hashing) -> Iterator[Entry | Rejected]:
    """Raises `AudienceUnreadable` where the file as a whole is unusable."""
    first = columns.address or columns.hash
    wanted = [name for name in (columns.hash, *columns.others) if name]
    names = [
        name for name, column in zip(("hash", *COLUMNS[2:]), (columns.hash, *columns.others), strict=True) if column
    ]
    for row in reader.rows(first, wanted):
        if isinstance(row, Rejected):
            yield row
            continue
        try:
            yield _entry(row, dict(zip(names, row.values, strict=True)), bool(columns.address), defaults, hashing)
        except (WrongCell, BadAddress, ValueError) as error:
            yield Rejected(row.line, str(error), reader.excerpt())


def _entry(row: Row, values: dict[str, str], has_address: bool, defaults: Defaults, hashing: Hashing) -> Entry:
    given = str(row.address) if has_address else ""
    spelled = values.get("hash", "").strip()
    if not given.strip() and not spelled:
        raise WrongCell("There is no address.")
    address = normalise(given).address if given.strip() else ""
    return Entry(
        address,
        _reason(values.get("reason", "")) or defaults.reason,
        _time(values.get("added_at", "")) or defaults.at,
        values.get("source", "").strip() or defaults.source,
        _list(values.get("list", "")) or defaults.list,
        _time(values.get("expires_at", "")) or defaults.expires_at,
        b"" if address else suppression.read_spelled(spelled, hashing),
    )


def _reason(text: str) -> Reason | None:
    word = re.sub(r"[^a-z]+", "_", text.strip().lower()).strip("_")
    if word and word not in _REASONS:
        raise WrongCell(f"{text!r} is no reason; known are {', '.join(reversed(REASONS))}.")
    return _REASONS[word] if word else None


def _list(text: str) -> str:
    name = text.strip()
    if name and not ids.is_campaign_id(name):
        raise WrongCell(
            f"{text!r} cannot be the name of a list: lower-case letters, digits and inner hyphens, at most 40."
        )
    return name


def _time(text: str) -> float | None:
    """Unix seconds of a date or time, in UTC unless it says otherwise, or of Unix seconds."""
    text = text.strip()
    if not text:
        return None
    if re.fullmatch(r"\d{9,10}(\.\d*)?", text):
        return float(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise WrongCell(f"{text!r} is no time: write it as 2027-03-01 or 2027-03-01T12:30:00Z.") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
