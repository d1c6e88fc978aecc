"""Domains that are given on the command line."""

from __future__ import annotations

import re
from typing import Final

import idna

from jetpost.cli.state import Fault
from sender.settings import DOMAIN_PATTERN

_is_domain: Final = re.compile(DOMAIN_PATTERN).fullmatch


def domain_of(text: str) -> str:
    """As DNS has it, in lower case. Raises `Fault`."""
    try:
        name = idna.encode(text.rstrip("."), uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise Fault(f"{text!r} is no domain: {error}") from error
    if not _is_domain(name):
        raise Fault(f"{text!r} is no domain that mails can be signed for, such as example.com")
    return name
