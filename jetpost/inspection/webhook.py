"""A callback of an ESP: whether it is who it claims to be, and what it tells."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

from analytics.callbacks.base import Event, Request, Secrets, Told
from analytics.callbacks.registry import ESPS
from jetpost.errors import Fault

SKIP: Final = "skip"
_NAMES: Final = {"certs": "certificates"}
"""Keys of `secrets` that are called otherwise inside."""
SECRETS: Final = tuple(
    {inside: name for name, inside in _NAMES.items()}.get(field, field) for field in Secrets.__struct_fields__
)
"""The keys that `secrets` may have."""


class Item(msgspec.Struct):
    """One callback to look at."""

    esp: str
    headers: dict[str, str] = {}
    body: str = ""
    body_b64: str = ""
    method: str = "POST"
    now: float | None = None
    """Unix seconds; None: what the callback says of time is not held against a clock."""
    secrets: dict[str, Any] | Literal["skip"] | None = None
    """None fails closed: nothing is valid without a secret."""


def inspect(item: Item) -> dict[str, Any]:
    """Raises `Fault` for an ESP that is not known, and for secrets that are none."""
    if item.esp not in ESPS:
        raise Fault(f"no ESP is called {item.esp!r}; there are {', '.join(sorted(ESPS))}")
    esp = ESPS[item.esp]
    request = Request(
        {name.lower(): value for name, value in item.headers.items()},
        base64.b64decode(item.body_b64) if item.body_b64 else item.body.encode("utf-8", "surrogatepass"),
        item.now,
    )
    verdict = "skipped" if item.secrets == SKIP else esp.verify(request, _secrets(item.secrets or {}))
    told = esp.tell(request) if verdict in {"valid", "skipped"} else Told(())
    return {
        "verdict": verdict,
        "status": _status(verdict, told),
        "events": [_shown(event) for event in told.events],
        "unknown": list(told.unknown),
    }


def _secrets(given: Mapping[str, Any]) -> Secrets:
    """A text stands for a list of one."""
    plain = {
        _NAMES.get(name, name): [value] if isinstance(value, str) else value
        for name, value in given.items()
        if value is not None
    }
    try:
        return msgspec.convert(plain, Secrets)
    except msgspec.ValidationError as error:
        raise Fault(f"these secrets cannot be used: {error}") from error


def _status(verdict: str, told: Told) -> int:
    if verdict not in {"valid", "skipped"}:
        return 401
    return 400 if told.broken and not (told.events or told.unknown or told.faults) else 200


def _shown(event: Event) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "event": event.event,
        "recipient": event.recipient or None,
        "message_id": event.message_id or None,
        "timestamp": None
        if event.at is None
        else datetime.fromtimestamp(event.at, UTC).isoformat().replace("+00:00", "Z"),
        "dedupe": event.dedupe,
    }
    optional = {
        "bounce": event.bounce,
        "url": event.url,
        "machine_open": event.machine,
        "listed": event.listed,
        "reference": event.reference,
        "group": event.group,
        "code": event.code,
        "enhanced": event.enhanced,
        "text": event.text,
    }
    return shown | {name: value for name, value in optional.items() if value}
