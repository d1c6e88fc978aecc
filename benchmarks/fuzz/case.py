"""What is fuzzed: a parser, what it is fed with, and what it promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

Input: TypeAlias = tuple[bytes, ...]
"""What one case is, in parts: of a callback headers and body."""

Kind: TypeAlias = Literal["headers", "json", "form", "mail", "text", "bytes"]
"""How a part is built, which says how it may be changed."""

LIMIT_SECONDS: Final = 0.3
LIMIT_SECONDS_A_MEGABYTE: Final = 2.0
"""Of CPU for one case; who takes longer hangs."""


class Broken(AssertionError):
    """The parser neither raises nor hangs, and does not keep what it promises."""


class Parser(NamedTuple):
    name: str
    kinds: tuple[Kind, ...]
    """Of the parts."""
    seeds: Sequence[Input]
    """Real ones, from which cases are made."""
    words: Sequence[bytes]
    """What means something to it."""
    run: Callable[[Input], None]
    """Reads a case and holds what comes out against the promises. Raises `Broken`; whatever else it raises is a crash."""
    share: int
    """Of all cases, in parts of a hundred."""
    most_bytes: int = 64 * 1024
    """What is longer is cut."""


def limit_seconds(given: Input) -> float:
    return LIMIT_SECONDS + LIMIT_SECONDS_A_MEGABYTE * sum(map(len, given)) / 1e6


def promise(kept: bool, what: str) -> None:
    if not kept:
        raise Broken(what)
