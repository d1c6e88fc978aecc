"""The part `e2e`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console

from benchmarks.e2e import campaign, newsletter, outcome, stage, waiting
from benchmarks.e2e.options import Options
from benchmarks.e2e.show import show
from benchmarks.frame import isolation
from benchmarks.frame.part import Part
from jetpost.stopping import cancel_on_signals


def _add_options(parser: argparse.ArgumentParser) -> None:
    default = Options()
    parser.add_argument("--mails", type=int, default=default.mails)
    parser.add_argument("--senders", type=int, default=default.senders, help="sender processes")
    parser.add_argument("--producers", type=int, default=default.producers, help="producer processes")
    parser.add_argument("--size", type=int, default=default.size, help="bytes of a mail, on average")
    parser.add_argument("--latency-ms", type=float, default=default.latency_ms, help="before every reply of the sink")
    parser.add_argument("--connections", type=int, help="SMTP sessions of each sender")
    parser.add_argument("--no-pipelining", dest="pipelining", action="store_false", help="one mail at a time")
    parser.add_argument("--sendmail", action="store_true", help="one mail at a time through aiosmtplib's sendmail")
    parser.add_argument("--dkim", action="store_true", help="sign every mail with RSA and Ed25519")
    parser.add_argument("--prefill", action="store_true", help="senders start when all mails are queued")
    parser.add_argument("--waiting", type=int, default=default.waiting, help="mails that wait for a retry meanwhile")
    parser.add_argument("--keep", type=Path, help="keep data and logs in this folder")


def _run(arguments: argparse.Namespace, _console: Console) -> dict[str, Any]:
    chosen = {name: getattr(arguments, name) for name in Options.__struct_fields__}
    return measure(Options(**chosen))


def measure(options: Options) -> dict[str, Any]:
    """A run in a folder of its own, told about on the terminal. Several in a row: each in `isolation.apart`, for its memory."""
    with contextlib.ExitStack() as exits:
        folder = options.keep or Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="jetpost-bench-")))
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return uvloop.run(_measure(options, folder, isolation.console()))
        except asyncio.CancelledError:
            raise SystemExit(130) from None


async def _measure(options: Options, folder: Path, console: Console) -> dict[str, Any]:
    cancel_on_signals(asyncio.current_task())

    def tell(what: str) -> None:
        console.print(f"[dim]  {what}[/]")

    async with stage.opened(folder, options) as up:
        checked = await asyncio.to_thread(
            newsletter.write, folder / "campaign", options.mails, options.size, up.stack.settings.producer
        )
        await waiting.fill(up.bus, options.waiting)
        course = await campaign.run(up, checked, prefill=options.prefill, tell=tell)
        taken, peaks, restarts = await up.taken(), up.peak_memory(), up.restarts()
    found = await asyncio.to_thread(outcome.outcomes, folder / "clickhouse")
    return outcome.summarise(options, course, found, taken, peaks, restarts)


PART = Part(
    name="e2e",
    what="a whole campaign through all processes: mails a second, CPU per mail by process, the books",
    add_options=_add_options,
    run=_run,
    show=show,
    failed=lambda result: not result["balanced"],
)
