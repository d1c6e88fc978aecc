"""One run: a campaign is sent, the fault strikes at random moments, and at the end everything is counted."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator

import msgspec

from analytics import progress
from benchmarks.chaos import campaign, truth, verdict
from benchmarks.chaos.campaign import Mailing
from benchmarks.chaos.fault import Fault, Strike, Yardstick
from benchmarks.chaos.options import Options
from benchmarks.chaos.results import Run
from benchmarks.chaos.stage import Stage
from events import campaigns, streams
from events.errors import BusError
from jetpost import version

LOOK_EVERY_SECONDS = 0.01
STUCK_AFTER_ACK_WAITS = 8
"""So long without any new outcome means that the campaign will never end."""
LAUNCHES = 10


async def experiment(stage: Stage, fault: Fault, number: int, options: Options) -> Run:
    """Run it once on a stage that is up and has nothing to do."""
    chance = random.Random(f"{options.seed} {fault.name} {number}")
    mailing = await asyncio.to_thread(campaign.write, stage, f"{fault.name}-{number + 1}", fault.policy)
    began, before = time.time(), await _counts(stage)
    await stage.misbehave(fault.smtp)
    blow, blows = await _send_under_fire(stage, fault, mailing, chance)
    await _until_finished(stage, mailing.id)
    seconds = time.time() - began
    await stage.misbehave(None)
    await _until_quiet(stage)
    found = await truth.find(stage, mailing)
    struck = {name: times - before.faults.get(name, 0) for name, times in (await _counts(stage)).faults.items()}
    judged = verdict.judge(
        mailing.mails, found, fault.policy, _doubts_at_most(fault, options, blow, sum(struck.values()))
    )
    _keep(stage, mailing, judged)
    return Run(
        fault=fault.name,
        seed=options.seed,
        number=number + 1,
        mails=len(mailing.mails),
        strikes=blows + sum(struck.values()),
        lost=len(judged.lost),
        duplicated=len(judged.duplicated),
        silently_duplicated=len(judged.silent),
        in_doubt=judged.in_doubt,
        in_doubt_at_most=_doubts_at_most(fault, options, blow, sum(struck.values())),
        balanced=judged.balanced,
        clickhouse_equal=judged.clickhouse_equal,
        seconds=round(seconds, 1),
        broken=judged.broken,
        what_happened=blow.notes,
        folder=str(stage.folder),
        ack_wait_seconds=options.ack_wait_seconds,
        versions=version.versions(),
    )


class Counts(msgspec.Struct, frozen=True):
    planned: int
    queued: int
    taken: int
    stated: int
    faults: dict[str, int]


async def _counts(stage: Stage) -> Counts:
    taken = await stage.taken()
    batches, mails, events = [
        (await stage.bus.stream_state(stream.name)).last_sequence
        for stream in (streams.BATCHES, streams.MAIL, streams.EVENTS)
    ]
    return Counts(batches, mails, taken.messages, events, taken.faults)


async def _send_under_fire(stage: Stage, fault: Fault, mailing: Mailing, chance: random.Random) -> tuple[Strike, int]:
    """Launch, strike at each moment, and see to it that the launch comes to its end; how often it struck."""
    blow = Strike(stage, chance, mailing.id)
    if fault.prepare is not None:
        await fault.prepare(blow)
    before = await _counts(stage)
    moments = sorted(chance.uniform(0.02, 0.85) for _ in range(chance.randint(1, stage.options.strikes)))
    blow.launch = await campaign.send(stage, mailing)
    blows = 0
    for moment in moments if fault.strike else ():
        if not await _reached(stage, mailing, fault.by, before, moment):
            break
        assert fault.strike is not None
        await fault.strike(blow)
        blows += 1
        if fault.again:
            await blow.launch.wait()
            blow.launch = await campaign.send(stage, mailing)
    for _ in range(LAUNCHES):
        if await blow.launch.wait() == 0:
            break
        blow.notes.append("jetpost send, once more")
        await asyncio.sleep(1)
        blow.launch = await campaign.send(stage, mailing)
    return blow, blows


async def _reached(stage: Stage, mailing: Mailing, by: Yardstick, before: Counts, share: float) -> bool:
    """Wait until so much of the campaign is done; False where it is finished or stands still."""
    whole = len(mailing.mails)
    if by == "planned":
        whole = -(-whole // stage.options.batch_size)
    async for _ in _while_it_moves(stage, mailing.id):
        with contextlib.suppress(BusError):
            if getattr(await _counts(stage), by) - getattr(before, by) >= share * whole:
                return True
    return False


async def _until_finished(stage: Stage, campaign_id: str) -> None:
    async for _ in _while_it_moves(stage, campaign_id):
        await asyncio.sleep(0.2)


async def _while_it_moves(stage: Stage, campaign_id: str) -> AsyncIterator[None]:
    """Again and again, until the campaign is finished or nothing has been stated for long."""
    last, moved_at = -1, time.monotonic()
    while time.monotonic() - moved_at < STUCK_AFTER_ACK_WAITS * stage.options.ack_wait_seconds:
        yield
        await asyncio.sleep(LOOK_EVERY_SECONDS)
        with contextlib.suppress(BusError):
            stated = (await stage.bus.stream_state(streams.EVENTS.name)).last_sequence
            if stated != last:
                last, moved_at = stated, time.monotonic()
            with contextlib.suppress(campaigns.CampaignNotFound):
                if (await campaigns.get(stage.bus, campaign_id)).status == "finished":
                    return


async def _until_quiet(stage: Stage, seconds: float = 1.0, at_most_seconds: float = 60.0) -> None:
    """Everything stated is in ClickHouse, and for a while nothing more has been stated."""
    give_up_at = time.monotonic() + at_most_seconds
    last, since = -1, time.monotonic()
    while time.monotonic() < give_up_at and time.monotonic() - since < seconds:
        await asyncio.sleep(0.1)
        with contextlib.suppress(BusError):
            stated = (await stage.bus.stream_state(streams.EVENTS.name)).last_sequence
            if stated != last or await progress.ingested(stage.bus) < stated:
                last, since = stated, time.monotonic()


def _doubts_at_most(fault: Fault, options: Options, blow: Strike, struck: int) -> int:
    match fault.doubts:
        case "none":
            return 0
        case "wire":
            return options.wire * sum(_senders_hit(note, options.senders) for note in blow.notes)
        case "struck":
            return struck


def _senders_hit(note: str, senders: int) -> int:
    """How many senders' wires are cut: a sender's own, or all of them where a nats-server is gone."""
    return 1 if "sender" in note else senders if "nats" in note else 0


def _keep(stage: Stage, mailing: Mailing, judged: verdict.Verdict) -> None:
    """Write down which mails it is about, where a promise was broken."""
    if judged.broken:
        file = stage.folder / f"broken-{mailing.id}.json"
        file.write_bytes(msgspec.json.format(msgspec.json.encode(judged)))
