"""What is secret among settings, told from their names, so that a new secret cannot be forgotten in a list."""

from __future__ import annotations

import re
from typing import Final

import msgspec

_SECRET_NAMES: Final = ("password", "secret", "secrets", "token", "private_key")
_USER_IN_URL: Final = re.compile(r"(?<=://)[^/\s,][^\s,]*@")
_PASSWORD_IN_URL: Final = re.compile(r"(?i)(?<=[?&;])((?:ssl)?password|pwd|token|secret)=[^&;\s]+")


def is_secret(name: str) -> bool:
    """Whether a setting of this name is never logged and never printed."""
    return name.endswith(_SECRET_NAMES)


def without_password(text: str) -> str:
    """Text whose addresses have lost user and password: `nats://***@host`. Greedy: hides too much sooner than too little."""
    return _PASSWORD_IN_URL.sub(r"\1=***", _USER_IN_URL.sub("***@", text))


class Discreet(msgspec.Struct, frozen=True, kw_only=True):
    """Base of settings whose representation, as tracebacks and logs may show it, has no secret."""

    def __repr__(self) -> str:
        fields = ((name, getattr(self, name)) for name in self.__struct_fields__)
        shown = (f"{name}={_hidden(name, value)}" for name, value in fields)
        return f"{type(self).__name__}({', '.join(shown)})"


def _hidden(name: str, value: object) -> str:
    return "'***'" if value and is_secret(name) else without_password(repr(value))
