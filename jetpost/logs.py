"""Structured logs: one line an event, for people on a terminal, JSON otherwise."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from typing import Any, Final, Literal, TextIO

import msgspec

_STANDARD: Final = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {
    "message",
    "asctime",
    "taskName",
}
_COLOURS: Final = {"DEBUG": "2", "INFO": "36", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}
_CHATTY: Final = ("uvicorn", "nats", "asyncio", "mail")
"""Libraries whose notices repeat what our own logs say; `mail` is aiosmtpd, which logs every command of every client."""
_SILENT: Final = ("flufl.bounce",)
"""It logs dozens of patterns that it tries on each mail, and with a traceback where a stranger's mail makes one stumble."""


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe messages to show."""
    format: Literal["auto", "human", "json"] = "auto"
    """`auto`: human on a terminal, JSON otherwise."""


def configure(settings: LogSettings, component: str, stream: TextIO | None = None) -> None:
    """Send all logs of this process, Python's warnings too, to `stream` (standard error), each naming the component."""
    out = stream or sys.stderr
    human = settings.format == "human" or (settings.format == "auto" and out.isatty())
    handler = logging.StreamHandler(out)
    handler.setFormatter(HumanFormatter(component, colour=out.isatty()) if human else JsonFormatter(component))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    logging.captureWarnings(capture=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    for name in _SILENT:
        logging.getLogger(name).setLevel(logging.CRITICAL)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (RFC 3339, UTC), level, component, logger, message, and whatever `extra` gave."""

    def __init__(self, component: str) -> None:
        super().__init__()
        self._component = component

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": _utc(record),
            "level": record.levelname.lower(),
            "component": self._component,
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields |= {key: value for key, value in _extra(record).items() if key not in fields}
        if trace := _trace(self, record):
            fields["exception"] = trace
        return _to_json(fields)


class HumanFormatter(logging.Formatter):
    """`12:34:56 INFO    sender  message  key=value`, with a colour for the level where that is shown."""

    def __init__(self, component: str, *, colour: bool) -> None:
        super().__init__()
        self._component = component
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        level = f"{record.levelname:<7}"
        if self._colour and record.levelname in _COLOURS:
            level = f"\033[{_COLOURS[record.levelname]}m{level}\033[0m"
        extra = "".join(f"  {key}={value}" for key, value in _extra(record).items())
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        text = f"{clock} {level} {self._component:<9} {visible(record.getMessage() + extra)}"
        return "\n".join(part for part in (text, _trace(self, record)) if part)


def visible(text: str) -> str:
    """Text that a terminal shows and does not obey: what remote servers reply is logged, escape sequences included."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in record.__dict__.items() if key not in _STANDARD}


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    exception = formatter.formatException(record.exc_info) if record.exc_info else ""
    stack = formatter.formatStack(record.stack_info) if record.stack_info else ""
    return "\n".join(part for part in (exception, stack) if part)


def _to_json(fields: Mapping[str, Any]) -> str:
    """Whatever `extra` holds: a log line with an odd value as text is better than none."""
    try:
        return msgspec.json.encode(fields, enc_hook=str).decode()
    except (TypeError, ValueError, RecursionError):
        plain = {key: str(value).encode("utf-8", "backslashreplace").decode() for key, value in fields.items()}
        return msgspec.json.encode(plain).decode()


def _utc(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
