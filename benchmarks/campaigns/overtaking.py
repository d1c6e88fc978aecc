"""The part `overtaking`: how long a small urgent campaign takes while a large one is being rendered and sent.

A thousand mails are sent on an idle system, then, as `urgent`, while the large campaign has batches waiting before producers and
mails before senders; and once more in its class, `normal`. Each is timed from its launch to its last acceptance.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec
import uvloop
from rich.console import Console

from benchmarks.e2e import campaign, newsletter, stage
from benchmarks.e2e.options import Options
from benchmarks.e2e.stage import Stage
from benchmarks.frame import isolation
from benchmarks.frame.part import Part
from events import facts, streams, subjects
from events.facts import EmailAccepted
from events.schemas import Priority
from jetpost.cli.state import fetch_json
from jetpost.stopping import cancel_on_signals
from producer import launch
from producer.campaign.check import Checked

SECONDS_MORE: Final = 5.0
"""So much longer than on an idle system an urgent campaign may take."""
_WELL_UNDER_WAY: Final = 0.1
"""Of the large campaign, before the first urgent one is launched."""


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mails", type=int, default=200_000, help="of the large campaign")
    parser.add_argument("--urgent", type=int, default=1_000, help="mails of each small campaign")
    parser.add_argument("--runs", type=int, default=3, help="small campaigns on the idle system, and as many beside")
    parser.add_argument("--senders", type=int, default=2)
    parser.add_argument("--producers", type=int, default=1)


def _run(arguments: argparse.Namespace, _console: Console) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="jetpost-bench-") as folder:
        try:
            return uvloop.run(_measure(arguments, Path(folder), isolation.console()))
        except asyncio.CancelledError:
            raise SystemExit(130) from None


async def _measure(arguments: argparse.Namespace, folder: Path, console: Console) -> dict[str, Any]:
    cancel_on_signals(asyncio.current_task())
    options = Options(mails=arguments.mails, senders=arguments.senders, producers=arguments.producers)
    async with stage.opened(folder, options) as up:
        runs = Runs(up, folder, arguments.urgent, options, console)
        await up.start_senders()
        idle = [await runs.small(f"idle-{number}", "normal") for number in range(arguments.runs)]
        large = await runs.prepare("bench", options.mails, "normal")
        launching = asyncio.create_task(runs.launch(large))
        await runs.accepted("bench", round(options.mails * _WELL_UNDER_WAY))
        shares = [await runs.share("bench", options.mails)]
        busy = []
        for number in range(arguments.runs):
            busy.append(await runs.small(f"urgent-{number}", "urgent"))
            shares.append(await runs.share("bench", options.mails))
        normal = await runs.small("normal", "normal")
        await campaign.watch(up, "bench", launching, runs.tell)
        balanced = [await runs.balanced(name) for name in runs.sent]
        taken, restarts = await up.taken(), up.restarts()
    total = options.mails + arguments.urgent * (2 * arguments.runs + 1)
    return {
        "balanced": all(balanced) and taken.accepted == total and not taken.accepted_more_than_once and not restarts,
        "mails": options.mails,
        "urgent": arguments.urgent,
        "shares_of_large_campaign": shares,
        "normal_seconds": normal,
        **compared(idle, busy),
    }


class Runs:
    """Small campaigns on a stage."""

    def __init__(self, up: Stage, folder: Path, small: int, options: Options, console: Console) -> None:
        self._up = up
        self._folder = folder
        self._small = small
        self._options = options
        self._console = console
        self.sent: list[str] = []

    def tell(self, what: str) -> None:
        """On the terminal."""
        self._console.print(f"[dim]  {what}[/]")

    async def prepare(self, name: str, mails: int, priority: Priority) -> Checked:
        """A campaign of this name, ready to be launched."""
        checked = await asyncio.to_thread(
            newsletter.write, self._folder / name, mails, self._options.size, self._up.stack.settings.producer
        )
        assert checked.launchable is not None
        launchable = msgspec.structs.replace(
            checked.launchable,
            campaign=msgspec.structs.replace(checked.launchable.campaign, id=name, name=name),
            timing=msgspec.structs.replace(checked.launchable.timing, priority=priority),
        )
        self.sent.append(name)
        return msgspec.structs.replace(checked, launchable=launchable)

    async def launch(self, checked: Checked) -> launch.Launched:
        """Returns when it is planned."""
        settings = self._up.stack.settings.producer
        return await launch.launch(self._up.bus, checked, settings, clock=time.time, on_progress=lambda _: None)

    async def small(self, name: str, priority: Priority) -> float:
        """Seconds from the launch of a small campaign to its last acceptance."""
        checked = await self.prepare(name, self._small, priority)
        began = time.time()
        launching = asyncio.create_task(self.launch(checked))
        seconds = round(await self.accepted(name, self._small) - began, 3)
        await launching
        steps = [f"{word} {await self._at(word, name) - began:.2f}" for word in ("campaign_planned", "batch_queued")]
        self.tell(f"{name}: {seconds:.2f} s ({', '.join(steps)})")
        return seconds

    async def _at(self, word: str, name: str) -> float:
        """When this was stated of a campaign."""
        records = self._up.bus.read(streams.EVENTS.name, subjects.event(word, name))
        return min([facts.decode(record.payload).at async for record in records])

    async def accepted(self, name: str, number: int) -> float:
        """Wait until so many mails of a campaign are accepted; when the last of them was."""
        last, left = 0.0, number
        async for record in self._up.bus.read(streams.EVENTS.name, subjects.event("accepted", name), follow=True):
            fact = facts.decode(record.payload)
            if isinstance(fact, EmailAccepted):
                last, left = max(last, fact.at), left - 1
            if left == 0:
                break
        return last

    async def share(self, name: str, mails: int) -> float:
        """Of the campaign's mails, those that are accepted."""
        counts = await self._up.bus.count_by_subject(streams.EVENTS.name, subjects.event("accepted", name))
        return round(sum(counts.values()) / mails, 3)

    async def balanced(self, name: str) -> bool:
        """Whether the books of the campaign are closed, as the API tells it."""
        while True:
            document = await fetch_json(f"{self._up.stack.web_url}/api/campaigns/{name}")
            if document["campaign"]["status"] == "finished":
                return bool(document["figures"]["progress"]["balanced"])
            await asyncio.sleep(campaign.LOOK_EVERY_SECONDS)


def compared(idle: Sequence[float], busy: Sequence[float]) -> dict[str, Any]:
    """The times on the idle system and beside the large campaign; the medians, and all."""
    return {
        "idle_seconds": median(idle),
        "urgent_seconds": median(busy),
        "idle_seconds_each": list(idle),
        "urgent_seconds_each": list(busy),
    }


def show(result: dict[str, Any], console: Console) -> None:
    """A few lines."""
    more = result["urgent_seconds"] - result["idle_seconds"]
    colour = "green" if more < SECONDS_MORE else "bold red"
    first, *_, last = result["shares_of_large_campaign"]
    console.print(
        f"{result['urgent']:,} urgent mails beside {result['mails']:,}:"
        f" [{colour}]{result['urgent_seconds']:.1f} s[/] from launch to the last acceptance,"
        f" {result['idle_seconds']:.1f} s on an idle system, {result['normal_seconds']:.1f} s as normal"
        f" (the large campaign was {first:.0%} to {last:.0%} sent meanwhile)"
    )
    console.print("[bold green]balanced ✓[/]" if result["balanced"] else "[bold red]NOT balanced ✗[/]")


PART = Part(
    name="overtaking",
    what="a small urgent campaign while a large one runs: time from launch to the last acceptance",
    add_options=_add_options,
    run=_run,
    show=show,
    failed=lambda result: not result["balanced"],
)
