"""One campaign on a stage, from launch to the last outcome, with readings on the way."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from benchmarks.e2e.stage import Stage
from benchmarks.frame.processes import Reading
from events import streams
from events.ledger import Ledger
from jetpost.cli.state import Fault, fetch_json
from producer import launch
from producer.campaign.check import Checked

LOOK_EVERY_SECONDS: Final = 0.5
FULL_LOOK_SECONDS: Final = 0.05
STUCK_AFTER_SECONDS: Final = 180.0
"""No change for this long, three times the ack-wait, ends the run as not balanced."""

Told = Callable[[str], None]


class Filling(msgspec.Struct, frozen=True, kw_only=True):
    """What filling the queue took, where senders started only afterwards."""

    seconds: float
    before: Reading
    after: Reading
    disk_before: Mapping[str, int]
    disk_after: Mapping[str, int]
    sending_from: float
    """Unix seconds: when the senders were ready."""


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """How a campaign went."""

    launched_at: float
    """Unix seconds."""
    finished_seconds: float
    """From launch until everybody knew that it was over."""
    before: Reading
    after: Reading
    """Of the whole campaign, or of sending alone where the queue was filled first."""
    filling: Filling | None
    report: dict[str, Any]
    """As the API tells it."""
    disk_peak: int
    """Bytes of nats-server's store, at its highest."""


async def run(stage: Stage, checked: Checked, *, prefill: bool, tell: Told) -> Course:
    """Raises `Fault` where the API does not answer."""
    if not prefill:
        await stage.start_senders()
    launched_at = time.time()
    launching = asyncio.create_task(
        launch.launch(stage.bus, checked, stage.stack.settings.producer, clock=time.time, on_progress=lambda _: None)
    )
    try:
        filling = await _fill(stage, launching, launched_at, tell) if prefill else None
        before = stage.read()
        disk_peak = await watch(stage, checked.campaign.id, launching, tell)
    finally:
        launching.cancel()
    return Course(
        launched_at=launched_at,
        finished_seconds=time.time() - launched_at,
        before=before,
        after=stage.read(),
        filling=filling,
        report=await fetch_json(f"{stage.stack.web_url}/api/campaigns/{checked.campaign.id}/report"),
        disk_peak=disk_peak,
    )


async def _fill(stage: Stage, launching: asyncio.Task[launch.Launched], launched_at: float, tell: Told) -> Filling:
    """Wait until every mail is queued, and start the senders then."""
    before, disk_before = stage.read(), stage.disk()
    await _queued(stage, (await launching).planned, tell)
    seconds, after, disk_after = time.time() - launched_at, stage.read(), await _settled(stage.disk)
    await stage.start_senders()
    return Filling(
        seconds=seconds,
        before=before,
        after=after,
        disk_before=disk_before,
        disk_after=disk_after,
        sending_from=time.time(),
    )


async def _queued(stage: Stage, planned: int, tell: Told) -> None:
    told, before, moved_at = 0, 0, time.monotonic()
    while (queued := await _in_queue(stage)) < planned:
        if queued > before:
            before, moved_at = queued, time.monotonic()
        elif time.monotonic() - moved_at > STUCK_AFTER_SECONDS:
            raise SystemExit(f"only {queued:,} of {planned:,} mails were queued, then nothing moved any more")
        if queued - told >= planned / 4:
            tell(f"{queued:,} of {planned:,} queued")
            told = queued
        await asyncio.sleep(FULL_LOOK_SECONDS)


async def _in_queue(stage: Stage) -> int:
    """Mails that are due, those of another campaign that wait for a retry left out."""
    return (await stage.bus.stream_state(streams.MAIL.name)).messages - stage.options.waiting


async def _settled(look: Callable[[], dict[str, int]]) -> dict[str, int]:
    """Looks again until nothing changes any more: the server writes what it has taken a moment later."""
    before = look()
    while True:
        await asyncio.sleep(LOOK_EVERY_SECONDS)
        if (now := look()) == before:
            return now
        before = now


async def watch(stage: Stage, campaign: str, launching: asyncio.Task[launch.Launched], tell: Told) -> int:
    """Until the campaign is finished, or nothing has moved for long; the most that the store held, in bytes."""
    ledger, moved_at, told_at, peak = Ledger(), time.monotonic(), time.monotonic(), 0
    while True:
        if launching.done():
            launching.result()
        detail = await _detail(stage.stack.web_url, campaign)
        peak = max(peak, stage.disk()["all"])
        if detail and detail["campaign"]["status"] == "finished":
            return peak
        figures = detail["figures"] if detail else None
        now = msgspec.convert(figures["progress"]["ledger"], Ledger) if figures else ledger
        if now != ledger:
            ledger, moved_at = now, time.monotonic()
        elif time.monotonic() - moved_at > STUCK_AFTER_SECONDS:
            return peak
        if time.monotonic() - told_at > 5:
            told_at = time.monotonic()
            tell(f"{ledger.planned:,} planned, {ledger.settled:,} settled")
        await asyncio.sleep(LOOK_EVERY_SECONDS)


async def _detail(web_url: str, campaign: str) -> dict[str, Any] | None:
    with contextlib.suppress(Fault):
        detail: dict[str, Any] = await fetch_json(f"{web_url}/api/campaigns/{campaign}")
        return detail
    return None
