"""What DKIM costs: CPU per mail, step by step and as a sender does it, and how long the event loop has to wait meanwhile.

The newsletter of the other measurements (`e2e/newsletter.py`), keys of 2048 bits and Ed25519. CPU is that of all threads.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import hashlib
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.budget.rendering import SETTINGS
from benchmarks.e2e import dkim_keys, newsletter
from benchmarks.e2e.newsletter import DOMAIN
from benchmarks.frame.part import Part
from producer.recipients import audience
from producer.recipients.recipient import Recipient
from producer.rendering.renderer import compile_campaign
from sender.dkim import canonical, keys
from sender.dkim.signature import Signer
from sender.dkim.signing import Signing
from sender.drivers.base import Outbound
from sender.settings import DkimKeys

MAILS: Final = 2_000
SIZE: Final = 10_240
TURN: Final = 16
SESSIONS: Final = 20
PROMISED_US: Final = 600.0
"""RSA and Ed25519 together, a mail of 10 KB."""
_REPETITIONS: Final = 3
_TICK_SECONDS: Final = 0.001


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mails", type=int, default=MAILS)
    parser.add_argument("--size", type=int, default=SIZE, help="bytes of a mail, on average")


def _run(arguments: argparse.Namespace, _console: Console) -> dict[str, Any]:
    messages = _messages(arguments.mails, arguments.size)
    settings = dkim_keys.made()
    both = keys.load(DOMAIN, settings)
    digest = hashlib.sha256(b"x").digest()
    steps = {
        "canonical form of header and body, hashes": _cpu(_prepared, messages),
        **{
            f"operation of {key.algorithm}": _cpu(lambda _, sign=key.signing.sign: sign(digest), messages)
            for key in both
        },
        **{f"signed with {key.algorithm}": _cpu(_signing_with([key]), messages) for key in both},
        "signed with both": _cpu(_signing_with(both), messages),
    }
    mails = [
        Outbound(f"{number}", "a@example.org", "b@example.org", one, in_lines=True)
        for number, one in enumerate(messages)
    ]
    return {
        "mails": len(messages),
        "mail_bytes": round(sum(map(len, messages)) / len(messages)),
        "cpu_us_per_mail": {name: round(us, 1) for name, us in steps.items()},
        "event_loop": {
            "in threads, as senders do": uvloop.run(_beside_a_loop(mails, settings, inline=False)),
            "in the event loop": uvloop.run(_beside_a_loop(mails, settings, inline=True)),
        },
    }


def _messages(count: int, size: int) -> list[bytes]:
    with tempfile.TemporaryDirectory(prefix="jetpost-bench-") as folder:
        checked = newsletter.write(Path(folder, "campaign"), count, size, SETTINGS)
        assert checked.launchable is not None
        rows = audience.read(checked.launchable.audience, checked.launchable.projection)
        recipients = list(islice((row for row in rows if isinstance(row, Recipient)), count))
    renderer = compile_campaign(checked.campaign, SETTINGS)
    return [renderer.render(recipient).message for recipient in recipients]


def _prepared(message: bytes) -> None:
    head, body = canonical.split(message)
    _, lines = canonical.fields(head)
    hashlib.sha256(b"".join(lines)).digest()
    hashlib.sha256(canonical.body(body)).digest()


def _signing_with(chosen: Sequence[keys.Key]) -> Callable[[bytes], bytes]:
    signer, now = Signer(DOMAIN, [key.signing for key in chosen]), time.time()
    return lambda message: signer.sign(message, now)


def _cpu(work: Callable[[bytes], object], messages: Sequence[bytes]) -> float:
    """The best of some rounds, in µs a mail."""
    best = float("inf")
    for _ in range(_REPETITIONS):
        gc.collect()
        began = time.process_time()
        for message in messages:
            work(message)
        best = min(best, time.process_time() - began)
    return best / len(messages) * 1e6


async def _beside_a_loop(mails: Sequence[Outbound], settings: DkimKeys, *, inline: bool) -> dict[str, float]:
    """As many sessions as a pool has sign turns of mails, beside somebody who wants to do something every millisecond."""
    signing = Signing({DOMAIN: settings}, time.time)
    signer = Signer(DOMAIN, [key.signing for key in keys.load(DOMAIN, settings)])
    turns = iter([mails[start : start + TURN] for start in range(0, len(mails), TURN)])

    async def in_the_loop(turn: Sequence[Outbound]) -> None:
        for mail in turn:
            signer.sign(mail.message, time.time())
        await asyncio.sleep(0)

    async def in_threads(turn: Sequence[Outbound]) -> None:
        await signing.sign(signer, turn)

    async def session(sign: Callable[[Sequence[Outbound]], Awaitable[None]]) -> None:
        for turn in turns:
            await sign(turn)

    late: list[float] = []
    ticking = asyncio.create_task(_tick(late))
    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(session(in_the_loop if inline else in_threads) for _ in range(SESSIONS)))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    ticking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await ticking
    signing.close()
    late.sort()
    return {
        "cpu_us_per_mail": round(cpu / len(mails) * 1e6, 1),
        "mails_per_second": round(len(mails) / wall),
        "late_ms_99_percent": round(late[len(late) * 99 // 100] * 1e3, 2) if late else 0.0,
        "late_ms_longest": round(late[-1] * 1e3, 2) if late else 0.0,
    }


async def _tick(late: list[float]) -> None:
    while True:
        due = time.perf_counter() + _TICK_SECONDS
        await asyncio.sleep(_TICK_SECONDS)
        late.append(time.perf_counter() - due)


def _show(result: dict[str, Any], console: Console) -> None:
    steps = Table(
        f"{result['mails']:,} mails of {result['mail_bytes']:,} bytes", "µs CPU", box=None, header_style="bold"
    )
    steps.columns[1].justify = "right"
    for name, us in result["cpu_us_per_mail"].items():
        steps.add_row(name, f"{us:.1f}")
    console.print(steps)
    beside = Table(
        f"{SESSIONS} sessions, turns of {TURN}",
        "µs CPU",
        "mails/s",
        "loop late: 99 %",
        "longest",
        box=None,
        header_style="bold",
    )
    for column in beside.columns[1:]:
        column.justify = "right"
    for name, found in result["event_loop"].items():
        times = (f"{found['late_ms_99_percent']:.1f} ms", f"{found['late_ms_longest']:.1f} ms")
        beside.add_row(name, f"{found['cpu_us_per_mail']:.1f}", f"{found['mails_per_second']:,}", *times)
    console.print(beside)
    console.print(f"promised: {PROMISED_US:.0f} µs for both signatures")


PART: Final = Part(
    name="dkim",
    what="signing: CPU per mail, step by step, and how long the event loop waits",
    add_options=_add_options,
    run=_run,
    show=_show,
    failed=lambda result: bool(result["cpu_us_per_mail"]["signed with both"] > PROMISED_US),
)
