"""Addresses: what is one, and when two are the same mailbox.

Syntax and IDNA are email-validator's (RFC 5321, RFC 6531, IDNA 2008 with UTS 46), without looking anything up. Ordinary
ASCII local parts take a path of their own, twenty times as fast, on which each domain is judged once; it accepts only what
email-validator accepts, and gives the same result (a property test holds it to that).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

import email_validator

from events.addresses import identity
from events.providers import Provider, provider_of


class BadAddress(ValueError):
    """This is not an address that mail can be sent to; the message says why, for the person who wrote it."""


class Address(NamedTuple):
    address: str
    """For RCPT TO: the domain lower-case in ASCII form, the local part as it was written."""
    provider: Provider
    smtputf8: bool
    """The local part is not ASCII (RFC 6531)."""

    @property
    def identity(self) -> str:
        """The same for two spellings of one mailbox (`events.addresses.identity`)."""
        return identity(self.address)


_MAX_BYTES: Final = 254
"""RFC 5321 §4.5.3.1.3 with the angle brackets taken off."""

_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_plain_local = re.compile(rf"(?=.{{1,64}}\Z){_ATOM}(?:\.{_ATOM})*\Z").match

_LABEL: Final = r"(?!..--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_plain_domain = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)+(?=[a-z0-9-]*[a-z]\Z){_LABEL}\Z").match
_UNUSABLE_TLDS: Final = frozenset({"arpa", "invalid", "local", "localhost", "onion"})


def normalise(text: str) -> Address:
    """Raises `BadAddress`. Spaces around the address are forgiven."""
    local, at, domain = text.strip().rpartition("@")
    if at and _plain_local(local):
        known = _domain(domain)
        if known is not None and len(local) <= known.room:
            return Address(f"{local}@{known.ascii}", known.provider, False)
    return _by_the_book(text.strip())


class _Domain(NamedTuple):
    ascii: str
    provider: Provider
    room: int
    """Bytes that the limit leaves for the local part, whichever way the domain is written."""


@lru_cache(maxsize=50_000)
def _domain(domain: str) -> _Domain | None:
    """None where the domain is wrong, or too long to be judged without its local part."""
    lower = domain.lower() if domain.isascii() else ""
    if _plain_domain(lower) and lower.rpartition(".")[2] not in _UNUSABLE_TLDS:
        return _Domain(lower, provider_of(lower), _MAX_BYTES - 1 - len(lower))
    try:
        found = email_validator.validate_email(f"x@{domain}", check_deliverability=False, test_environment=True)
    except email_validator.EmailNotValidError:
        return None
    ascii_domain = found.ascii_domain.lower()
    longest = max(len(form.encode()) for form in (domain, found.domain, ascii_domain))
    return _Domain(ascii_domain, provider_of(ascii_domain), _MAX_BYTES - 1 - longest)


def _by_the_book(text: str) -> Address:
    if not text:
        raise BadAddress("There is no address.")
    if len(text) > 2 * _MAX_BYTES:
        raise BadAddress(f"The address is too long: {len(text)} characters, where {_MAX_BYTES} is the limit.")
    try:
        # The option allows domains under .test, which relays of one's own may serve.
        found = email_validator.validate_email(text, check_deliverability=False, strict=True, test_environment=True)
    except email_validator.EmailNotValidError as error:
        raise BadAddress(str(error)) from error
    domain = found.ascii_domain.lower()
    return Address(f"{found.local_part}@{domain}", provider_of(domain), found.smtputf8)
