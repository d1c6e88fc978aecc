"""The server's side of AUTH PLAIN and AUTH LOGIN (RFC 4954, RFC 4616)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from hmac import compare_digest


class Authentication:
    """One exchange at a time: `begin` with the AUTH command, then `answer` with each line while `expects_line`."""

    def __init__(self, name: str, password: str) -> None:
        self._name = name.encode()
        self._password = password.encode()
        self._given_name = b""
        self._next: Callable[[bytes], bytes] | None = None
        self.succeeded = False

    @property
    def expects_line(self) -> bool:
        """The next line is an answer to a 334, not a command."""
        return self._next is not None

    def begin(self, command: bytes) -> bytes:
        """The reply to an AUTH command."""
        _, mechanism, initial = (*command.split(b" ", 2), b"", b"")[:3]
        match mechanism.upper():
            case b"PLAIN":
                return self._ask(self._plain, b"", initial)
            case b"LOGIN":
                return self._ask(self._login_name, b"Username:", initial)
            case _:
                return b"504 5.5.4 Mechanism not offered\r\n"

    def answer(self, line: bytes) -> bytes:
        """The reply to a line of an exchange."""
        assert self._next is not None
        step, self._next = self._next, None
        return b"501 5.7.0 Cancelled\r\n" if line == b"*" else step(line)

    def _ask(self, step: Callable[[bytes], bytes], prompt: bytes, initial: bytes = b"") -> bytes:
        if initial:
            return step(initial)
        self._next = step
        return b"334 " + base64.b64encode(prompt) + b"\r\n"

    def _plain(self, line: bytes) -> bytes:
        _, name, password = (*_decoded(line).split(b"\0", 2), b"", b"")[:3]
        return self._check(name, password)

    def _login_name(self, line: bytes) -> bytes:
        self._given_name = _decoded(line)
        return self._ask(self._login_password, b"Password:")

    def _login_password(self, line: bytes) -> bytes:
        return self._check(self._given_name, _decoded(line))

    def _check(self, name: bytes, password: bytes) -> bytes:
        self.succeeded = compare_digest(name, self._name) and compare_digest(password, self._password)
        return b"235 2.7.0 Authenticated\r\n" if self.succeeded else b"535 5.7.8 Wrong user name or password\r\n"


def _decoded(line: bytes) -> bytes:
    try:
        return base64.b64decode(line, validate=True)
    except binascii.Error:
        return b""
