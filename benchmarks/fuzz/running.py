"""Runs cases: each is made from the seed and its number alone, has a time limit, and is made small where it fails."""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from random import Random
from types import FrameType
from typing import Final, NamedTuple

from benchmarks.fuzz import bounces, callbacks, words
from benchmarks.fuzz.case import Broken, Input, Parser, limit_seconds
from benchmarks.fuzz.mutation import Mutator

HANGS: Final = "hangs"
_TRIES_TO_MAKE_SMALL: Final = 1_500
_TRIES_TO_MAKE_A_HANG_SMALL: Final = 40


class Hangs(BaseException):
    """The case takes too long. No `Exception`, which a parser might catch."""


class Failure(NamedTuple):
    parser: str
    case: int
    fault: str
    """What and where; the same for failures of one cause."""
    trace: str
    given: Input
    """As small as it could be made."""


class Result(NamedTuple):
    seconds: float
    """Of CPU."""
    failure: Failure | None


@cache
def parsers() -> tuple[Parser, ...]:
    return (*callbacks.parsers(), *bounces.parsers(), *words.parsers())


@cache
def _turns(names: tuple[str, ...]) -> tuple[Parser, ...]:
    """A parser for each case in turn, as their shares are."""
    turns = [parser for parser in parsers() if not names or parser.name in names for _ in range(parser.share)]
    Random(0).shuffle(turns)
    return tuple(turns)


def parser_of(case: int, names: tuple[str, ...] = ()) -> Parser:
    turns = _turns(names)
    return turns[case % len(turns)]


def make(seed: int, case: int, names: tuple[str, ...] = ()) -> Input:
    return Mutator(parser_of(case, names), Random(f"{seed}/{case}")).make()


def attempt(parser: Parser, case: int, given: Input, known: Container[tuple[str, str]] = ()) -> Result:
    """What fails as it is `known` is not made small again."""
    began = time.process_time()
    found = _fault(parser, given)
    seconds = time.process_time() - began
    if found is None:
        return Result(seconds, None)
    fault, trace = found
    if (parser.name, fault) in known:
        return Result(seconds, Failure(parser.name, case, fault, trace, given))
    tries = _TRIES_TO_MAKE_A_HANG_SMALL if fault == HANGS else _TRIES_TO_MAKE_SMALL
    small = smaller(given, lambda other: (_fault(parser, other) or ("", ""))[0] == fault, tries)
    return Result(seconds, Failure(parser.name, case, fault, trace, small))


def _fault(parser: Parser, given: Input) -> tuple[str, str] | None:
    """None where all is well; else what is wrong, and where."""
    try:
        with limited(limit_seconds(given)):
            parser.run(given)
    except Hangs:
        return HANGS, traceback.format_exc(limit=-4)
    except Broken as error:
        return f"breaks a promise: {error}", traceback.format_exc(limit=-4)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"raises {type(error).__name__} at {where.filename}:{where.lineno}", traceback.format_exc(limit=-8)
    return None


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Of CPU, so that a busy machine makes nothing hang. In the main thread alone."""

    def end(_signal: int, _frame: FrameType | None) -> None:
        raise Hangs

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def smaller(given: Input, fails: Callable[[Input], bool], tries: int) -> Input:
    """Loses whatever it can lose and still fail: halves first, then ever smaller pieces (delta debugging)."""
    for place in range(len(given)):
        size = max(1, len(given[place]) // 2)
        while size and tries > 0:
            at, lost = 0, False
            while at < len(given[place]) and tries > 0:
                other = _without(given, place, at, size)
                tries -= 1
                if fails(other):
                    given, lost = other, True
                else:
                    at += size
            size = size if lost and size == 1 else size // 2
    return given


def _without(given: Sequence[bytes], place: int, at: int, size: int) -> Input:
    part = given[place]
    return (*given[:place], part[:at] + part[at + size :], *given[place + 1 :])
