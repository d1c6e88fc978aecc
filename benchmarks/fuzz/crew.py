"""Processes that share the cases, and are watched: where one dies or stands still its case has failed, and another goes on."""

from __future__ import annotations

import logging
import multiprocessing
import resource
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any, Final, NamedTuple

import msgspec

from benchmarks.fuzz import running
from benchmarks.fuzz.running import Failure

STANDS_STILL_SECONDS: Final = 60.0
"""Of the clock on the wall: for what no signal interrupts."""
MEMORY_BYTES: Final = 2 * 1024**3
TOLD_EVERY_SECONDS: Final = 1.0

_NOT_BEGUN: Final = -1

_context = multiprocessing.get_context("spawn")


class Order(NamedTuple):
    """Which cases: every `step`th from `first` to before `end`."""

    seed: int
    first: int
    end: int
    step: int
    names: tuple[str, ...]


class Tally(msgspec.Struct):
    """What was seen of one parser."""

    cases: int = 0
    seconds: float = 0.0
    """Of CPU."""
    slowest_seconds: float = 0.0
    slowest_case: int = -1

    def add(self, other: Tally) -> None:
        self.cases += other.cases
        self.seconds += other.seconds
        if other.slowest_seconds > self.slowest_seconds:
            self.slowest_seconds, self.slowest_case = other.slowest_seconds, other.slowest_case


class News(NamedTuple):
    tallies: dict[str, Tally]
    """Since the last news."""
    failures: list[Failure]
    reached: int = 0
    """All cases before this one are done."""


Labour = Callable[[Order, Connection, Any], None]
"""Works through an order, says in shared memory which case it has begun, and sends news."""


class _Worker:
    def __init__(self, order: Order, labour: Labour) -> None:
        self.order = order
        self.inbox, theirs = _context.Pipe(duplex=False)
        self._place = _context.RawValue("q", _NOT_BEGUN)
        self._process = _context.Process(target=labour, args=(order, theirs, self._place), daemon=True)
        self._process.start()
        theirs.close()
        self._seen_at, self._seen = time.monotonic(), order.first

    @property
    def at(self) -> int:
        """The case that it has begun; at the end one behind the last."""
        return max(self._place.value, self.order.first)

    def stands_still(self) -> bool:
        """Call it now and then."""
        now, at = time.monotonic(), self.at
        if at != self._seen or self._place.value == _NOT_BEGUN:
            self._seen_at, self._seen = now, at
        return now - self._seen_at > STANDS_STILL_SECONDS

    def next_one(self) -> News | None:
        """None where there is no more to come."""
        try:
            news: News = self.inbox.recv()
        except EOFError:
            return None
        return news

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self.inbox.close()


def work(
    seed: int, first: int, cases: int, names: tuple[str, ...], processes: int, labour: Labour | None = None
) -> Iterator[News]:
    """News as they come, until all cases are done. `labour`: what each process does, instead of the usual."""
    labour = labour or _work
    orders = [Order(seed, first + place, first + cases, processes, names) for place in range(processes)]
    workers = [_Worker(order, labour) for order in orders]
    try:
        while workers:
            ready = wait([worker.inbox for worker in workers], timeout=TOLD_EVERY_SECONDS)
            for worker in list(workers):
                news = worker.next_one() if worker.inbox in ready else News({}, [])
                if news is not None and not worker.stands_still():
                    yield news._replace(reached=min(each.at for each in workers))
                    continue
                worker.end()
                workers.remove(worker)
                if worker.at < worker.order.end:
                    yield News({}, [_lost(worker, "kills its process" if news is None else "stands still")])
                    workers.append(_Worker(worker.order._replace(first=worker.at + worker.order.step), labour))
    finally:
        for worker in workers:
            worker.end()


def _lost(worker: _Worker, fault: str) -> Failure:
    seed, names = worker.order.seed, worker.order.names
    parser = running.parser_of(worker.at, names)
    return Failure(parser.name, worker.at, fault, "", running.make(seed, worker.at, names))


def _work(order: Order, outbox: Connection, place: Any) -> None:  # noqa: ANN401 - a number in shared memory
    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started us says when it is over
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    tallies: dict[str, Tally] = {}
    failures: list[Failure] = []
    known: set[tuple[str, str]] = set()
    told = time.monotonic()
    for case in range(order.first, order.end, order.step):
        place.value = case
        parser = running.parser_of(case, order.names)
        seconds, failure = running.attempt(parser, case, running.make(order.seed, case, order.names), known)
        tallies.setdefault(parser.name, Tally()).add(Tally(1, seconds, seconds, case))
        if failure and (parser.name, failure.fault) not in known:
            known.add((parser.name, failure.fault))
            failures.append(failure)
        if failures or time.monotonic() - told > TOLD_EVERY_SECONDS:
            outbox.send(News(tallies, failures))
            told, tallies, failures = time.monotonic(), {}, []
    place.value = order.end
    outbox.send(News(tallies, failures))


def to_json(tallies: dict[str, Tally]) -> list[dict[str, Any]]:
    return [{"parser": name, **msgspec.to_builtins(tally)} for name, tally in sorted(tallies.items())]
