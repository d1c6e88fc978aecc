"""Structured logs: one line an event, for people on a terminal, JSON otherwise."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any, Final, Literal, TextIO

import msgspec

_STANDARD: Final = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {
    "message",
    "asctime",
    "taskName",
}
_COLOURS: Final = {"DEBUG": "2", "INFO": "36", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe messages to show."""
    format: Literal["auto", "human", "json"] = "auto"
    """`auto`: human on a terminal, JSON otherwise."""


def configure(settings: LogSettings, component: str, stream: TextIO | None = None) -> None:
    """Send all logs of this process to `stream` (standard error), each naming the component."""
    out = stream or sys.stderr
    human = settings.format == "human" or (settings.format == "auto" and out.isatty())
    handler = logging.StreamHandler(out)
    handler.setFormatter(HumanFormatter(component) if human else JsonFormatter(component))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    for chatty in ("uvicorn.access", "nats", "httpx", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (RFC 3339, UTC), level, component, logger, message, and whatever `extra` gave."""

    def __init__(self, component: str) -> None:
        super().__init__()
        self._component = component

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": _utc(record.created, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "component": self._component,
            "logger": record.name,
            "message": record.getMessage(),
            **_extra(record),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(fields, enc_hook=str).decode()


class HumanFormatter(logging.Formatter):
    """`12:34:56 INFO    sender  message  key=value`, with a colour for the level."""

    def __init__(self, component: str) -> None:
        super().__init__()
        self._component = component

    def format(self, record: logging.LogRecord) -> str:
        level = f"\033[{_COLOURS[record.levelname]}m{record.levelname:<7}\033[0m"
        extra = "".join(f"  {key}={value}" for key, value in _extra(record).items())
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        text = f"{clock} {level} {self._component:<9} {record.getMessage()}{extra}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in record.__dict__.items() if key not in _STANDARD}


def _utc(seconds: float, form: str) -> str:
    return time.strftime(form, time.gmtime(seconds))
