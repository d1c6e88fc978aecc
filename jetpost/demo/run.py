"""The demo from start to end. Reads first; its steps are those of any campaign."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console

from events.bus import Bus
from jetpost import examples, version
from jetpost.cli import campaigns as campaign_commands
from jetpost.cli.state import Fault, connection, fetch_json
from jetpost.demo import audience, settings
from jetpost.demo.outcome import DemoReport, summarise
from jetpost.demo.progress import ProgressView
from jetpost.display import duration
from jetpost.simulator import client as simulator
from jetpost.stack import Plan, Stack, embedded
from jetpost.stopping import cancel_on_signals
from jetpost.supervisor import Child, Component
from producer import launch
from producer.campaign.check import Checked, check

LOOK_EVERY_SECONDS: Final = 0.4
STUCK_AFTER_SECONDS: Final = 180.0
"""No change for this long, twice the ack-wait and more, ends the demo as not balanced."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the user chose."""

    recipients: int
    senders: int
    producers: int
    seed: int
    stay: bool
    """Keep the dashboard up at the end, until Ctrl-C."""
    sync_interval: str = "2m"
    """How often JetStream syncs to disk."""


async def run(options: Options, folder: Path, console: Console, json_file: Path | None) -> DemoReport:
    """Run the demo with its data in `folder`. Raises `Fault`, `EmbeddedServerFailed` or `ChildFailed`."""
    cancel_on_signals(asyncio.current_task())
    console.print(
        f"[bold]Jetpost {version.VERSION} demo[/]: {options.recipients:,} recipients, embedded servers, no mail leaves here"
    )
    async with (
        _simulator(folder) as taker,
        _stack(options, folder, taker) as stack,
        connection(stack.settings.nats, "jetpost demo") as bus,
    ):
        console.print(f"Dashboard: [bold link={stack.web_url}]{stack.web_url}[/]   data and logs: {folder}\n")
        report, document = await _campaign(options, stack, bus, int(taker.addresses["control"]), console)
        if json_file:
            _write(json_file, report)
        _print(console, report, document)
        if options.stay:
            console.print(f"\nThe dashboard stays at [bold]{stack.web_url}[/] until Ctrl-C.")
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        return report


async def _campaign(
    options: Options, stack: Stack, bus: Bus, control_port: int, console: Console
) -> tuple[DemoReport, dict[str, Any]]:
    """The demo's report, and the campaign's as the API tells it."""
    checked = await asyncio.to_thread(_prepare, options, stack.settings.data_dir)
    launched_at = time.time()
    with ProgressView(console, stack.web_url, options.recipients, time.monotonic) as view:
        document = await _send(checked, stack, bus, view)
    report = summarise(
        document,
        await simulator.stats(control_port),
        launched_at=launched_at,
        seconds=time.time() - launched_at,
        recipients=options.recipients,
        versions=version.versions(),
    )
    return report, document


def _prepare(options: Options, folder: Path) -> Checked:
    """The example campaign beside an audience of our own making."""
    campaign = folder / "campaign"
    shutil.copytree(examples.folder("newsletter"), campaign, dirs_exist_ok=True)
    audience.write(campaign / "audience.csv", options.recipients, options.seed)
    checked = check(campaign / "campaign.toml", known_pools=[settings.POOL], now=time.time())
    if checked.problems:
        raise Fault("\n".join(str(problem) for problem in checked.problems))
    return checked


async def _send(checked: Checked, stack: Stack, bus: Bus, view: ProgressView) -> dict[str, Any]:
    """Launch and watch until the campaign is finished, or nothing has moved for long; the API's report."""
    planned = 0

    def on_progress(progress: launch.Progress) -> None:
        nonlocal planned
        planned = progress.planned

    launching = asyncio.create_task(
        launch.launch(bus, checked, stack.settings.producer, clock=time.time, on_progress=on_progress)
    )
    last, moved_at = None, time.monotonic()
    try:
        while True:
            detail = await _detail(stack.web_url, checked.campaign.id)
            figures = detail["figures"] if detail else None
            view.show(planned, figures)
            if launching.done():
                launching.result()
            if detail and detail["campaign"]["status"] == "finished" and launching.done():
                break
            ledger = figures["progress"]["ledger"] if figures else None
            if ledger != last:
                last, moved_at = ledger, time.monotonic()
            elif time.monotonic() - moved_at > STUCK_AFTER_SECONDS:
                break
            await asyncio.sleep(LOOK_EVERY_SECONDS)
    finally:
        launching.cancel()
    report: dict[str, Any] = await fetch_json(f"{stack.web_url}/api/campaigns/{checked.campaign.id}/report")
    return report


async def _detail(web_url: str, campaign: str) -> dict[str, Any] | None:
    with contextlib.suppress(Fault):
        detail: dict[str, Any] = await fetch_json(f"{web_url}/api/campaigns/{campaign}")
        return detail
    return None


def _print(console: Console, report: DemoReport, document: dict[str, Any]) -> None:
    console.print(campaign_commands.report(document))
    verdict = "[bold green]balanced ✓[/]" if report.balanced else "[bold red]NOT balanced ✗[/]"
    console.print(
        f"\nledger {verdict}   the simulator took {report.simulator.accepted:,} different mails,"
        f" {report.simulator.accepted_more_than_once:,} of them more than once"
    )
    console.print(
        f"[bold]{report.mails_per_second:,.0f} mails/s[/] first attempts;"
        f" {duration(report.seconds)} with all retries (shortened for the demo)"
    )


def _write(json_file: Path, report: DemoReport) -> None:
    json_file.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")


@contextlib.asynccontextmanager
async def _simulator(folder: Path) -> AsyncIterator[Child]:
    arguments = (
        "simulator",
        "--port=0",
        f"--slow={settings.SLOW_SECONDS}",
        f"--greylist={settings.GREYLIST_SECONDS}",
        f"--state-dir={folder / 'simulator'}",
    )
    child = Child(Component("simulator", arguments), {}, folder / "logs")
    try:
        await child.start(lambda: None)
        yield child
    finally:
        await child.stop()


@contextlib.asynccontextmanager
async def _stack(options: Options, folder: Path, taker: Child) -> AsyncIterator[Stack]:
    chosen = embedded(settings.settings(folder, int(taker.addresses["smtp"])), clickhouse_is_set=False)
    plan = Plan(producers=options.producers, senders=options.senders, sync_interval=options.sync_interval)
    async with Stack(plan, chosen) as stack:
        yield stack
