"""One campaign, with as many senders as are wanted, and what was to be seen meanwhile.

A sender is slow here, because the relay takes a while for each reply: so a few more of them are needed and nobody is short of
CPU.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import urllib.request
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from analytics.scaling.settings import ScalingSettings
from benchmarks.autoscaling.pods import Pods
from benchmarks.autoscaling.recording import Recorder, write
from benchmarks.e2e import campaign, newsletter, outcome, stage
from benchmarks.e2e.campaign import Told
from benchmarks.e2e.newsletter import POOL
from benchmarks.e2e.options import Options
from benchmarks.e2e.stage import Stage
from events.ledger import Ledger
from jetpost.cli.state import fetch_json
from jetpost.settings import Settings, to_environment
from jetpost.supervisor import Child, Component
from producer import launch
from producer.campaign.check import Checked
from sender.settings import RetryPolicy
from sender.throttle.limits import Limits

LATENCY_MS: Final = 20.0
CONNECTIONS: Final = 4
"""Of each sender: at four replies a mail it sends 50 mails/s."""
REPLIES: Final = 4
FETCH_MAILS: Final = 16
"""So slow a sender must not hold mails that others could send."""
THROTTLED_SECONDS: Final = 3.0
"""Mails that a provider puts off come again after so long: all else takes minutes here in place of an hour."""
SCALING: Final = ScalingSettings(
    min_senders=0, max_senders=10, sender_mails_per_second=100.0, sender_start_seconds=10.0, cooldown_seconds=30.0
)
"""It is thought at first that a sender sends twice what it does."""
POD_SECONDS: Final = 7.0
"""From asking for a process to beginning it: with its start it takes about `sender_start_seconds`."""
LOOK_SECONDS: Final = 1.0
SHOWN_EVERY: Final = 5
"""Looks for one in the result."""
POLL_SECONDS: Final = 5.0
"""So often the number of processes is put right."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    mails: int
    within_seconds: float
    pool_rate: float | None = None
    """A limit of the pool, mails per second."""
    profiles: str = ""
    """What providers bear, for the simulator."""
    earlier: int = 0
    """Mails of a campaign before it, with one sender: from then on limits are known, and what providers bear."""


class Sample(NamedTuple):
    """What there was to be seen at one moment."""

    seconds: float
    """Since the launch."""
    wanted: int
    reason: str
    running: int
    due: int
    late_seconds: float


async def run(plan: Plan, folder: Path, record: Path | None, tell: Told) -> dict[str, Any]:
    """What was seen goes to the folder `record`, too. Raises `Fault` where the API does not answer."""
    options = Options(mails=plan.mails, senders=0, latency_ms=LATENCY_MS, connections=CONNECTIONS, pipelining=False)
    extra = (f"--profiles={plan.profiles}",) if plan.profiles else ()
    async with stage.opened(folder, options, lambda settings: _settings(settings, plan), extra) as up:
        pods = Pods(lambda number: _sender(up, folder, number), POD_SECONDS)
        async with contextlib.AsyncExitStack() as exits:
            exits.push_async_callback(pods.close)
            if plan.earlier:
                await _learn(up, folder, pods, plan.earlier, tell)
            checked = await _prepared(up, folder, "bench", plan.mails)
            watching = Watching(up, pods, tell)
            exits.push_async_callback(watching.close)
            if record is not None:
                await exits.enter_async_context(_recorded(up, plan, record))
            report = await _send(up, checked, watching, tell)
            await watching.until_nobody_works()
        taken = await up.taken()
    found = await asyncio.to_thread(outcome.outcomes, folder / "clickhouse")
    ledger = msgspec.convert(report["figures"]["progress"]["ledger"], Ledger)
    return {
        "plan": msgspec.to_builtins(plan),
        "seconds": round(found.last_at - watching.launched_at, 1),
        "in_time": found.last_at - watching.launched_at <= plan.within_seconds,
        "balanced": ledger.balanced and ledger.settled == plan.mails and not taken.accepted_more_than_once,
        "most_senders": pods.most,
        "least_senders": least_senders(plan),
        "sender_seconds": round(sum(sample.running for sample in watching.samples) * LOOK_SECONDS),
        "reasons": watching.reasons(),
        "samples": [sample._asdict() for sample in watching.samples[::SHOWN_EVERY]],
    }


@contextlib.asynccontextmanager
async def _recorded(up: Stage, plan: Plan, record: Path) -> AsyncIterator[None]:
    recorder = Recorder(up.bus, up.stack.web_url)
    recording = asyncio.create_task(recorder.run())
    try:
        yield
    finally:
        recording.cancel()
        await asyncio.wait({recording})
        write(record / f"{plan.name}.json", up.stack.settings.analytics.scaling, recorder.looks)


def least_senders(plan: Plan) -> int:
    """With so few, called at once and never out of work, it could be done in time."""
    each = CONNECTIONS / (REPLIES * LATENCY_MS / 1_000)
    return -int(-plan.mails // (each * (plan.within_seconds - SCALING.sender_start_seconds)))


def _settings(settings: Settings, plan: Plan) -> Settings:
    relay = settings.sender.pools[POOL]
    if plan.pool_rate is not None:
        relay = replace(relay, limits=Limits(rate=plan.pool_rate))
    scaling = replace(SCALING, within_seconds=plan.within_seconds)
    return replace(
        settings,
        analytics=replace(settings.analytics, scaling=scaling),
        sender=replace(
            settings.sender,
            pools={POOL: relay},
            fetch_mails=FETCH_MAILS,
            prefetch_mails=2 * FETCH_MAILS,
            retry=RetryPolicy(throttled_base_seconds=THROTTLED_SECONDS, limit=50),
        ),
    )


def _sender(up: Stage, folder: Path, number: int) -> Child:
    component = Component(f"sender-{number}", ("sender", "run"))
    return Child(component, to_environment(up.stack.settings), stage.stack_logs(folder))


async def _prepared(up: Stage, folder: Path, name: str, mails: int) -> Checked:
    checked = await asyncio.to_thread(
        newsletter.write, folder / name, mails, up.options.size, up.stack.settings.producer
    )
    assert checked.launchable is not None, "it has no problems"
    named = replace(checked.launchable.campaign, id=name, name=name)
    return replace(checked, launchable=replace(checked.launchable, campaign=named))


async def _learn(up: Stage, folder: Path, pods: Pods, mails: int, tell: Told) -> None:
    """Send a campaign with one sender, so that what providers bear is known."""
    checked = await _prepared(up, folder, "earlier", mails)
    pods.become(1)
    await campaign.watch(up, "earlier", _launching(up, checked), tell)


def _launching(up: Stage, checked: Checked) -> asyncio.Task[launch.Launched]:
    return asyncio.create_task(
        launch.launch(up.bus, checked, up.stack.settings.producer, clock=time.time, on_progress=lambda _: None)
    )


async def _send(up: Stage, checked: Checked, watching: Watching, tell: Told) -> dict[str, Any]:
    watching.begin()
    await campaign.watch(up, "bench", _launching(up, checked), tell)
    report: dict[str, Any] = await fetch_json(f"{up.stack.web_url}/api/campaigns/bench/report")
    return report


class Watching:
    """Looks at the metrics of the ingester, as KEDA does, and has pods come and go."""

    def __init__(self, up: Stage, pods: Pods, tell: Told) -> None:
        self.samples: list[Sample] = []
        self.launched_at = 0.0
        """Unix seconds."""
        self._url = up.stack.children["web"].addresses["metrics"]
        self._pods = pods
        self._tell = tell
        self._task: asyncio.Task[None] | None = None
        self._looked = asyncio.Event()

    def begin(self) -> None:
        """The campaign is launched now."""
        self.launched_at = time.time()
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def until_nobody_works(self) -> None:
        """Returns when no sender is wanted any more."""
        while self.samples[-1].wanted:
            self._looked.clear()
            await self._looked.wait()

    def reasons(self) -> dict[str, int]:
        """Looks by reason."""
        found: dict[str, int] = {}
        for sample in self.samples:
            found[sample.reason] = found.get(sample.reason, 0) + 1
        return found

    async def _run(self) -> None:
        polled, said = 0.0, ""
        while True:
            sample = sampled(await asyncio.to_thread(_scrape, self._url), self._pods, time.time() - self.launched_at)
            if sample is not None:
                self.samples.append(sample)
                self._looked.set()
                if time.monotonic() - polled >= POLL_SECONDS:
                    polled = time.monotonic()
                    self._pods.become(sample.wanted)
                if said != (said := f"{sample.wanted} wanted ({sample.reason})"):
                    self._tell(f"{sample.seconds:5.1f} s: {said}, {sample.running} running, {sample.due:,} due")
            await asyncio.sleep(LOOK_SECONDS)


def _scrape(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def sampled(text: str, pods: Pods, seconds: float) -> Sample | None:
    """From metrics; None where it is not known how many are wanted."""
    found: dict[str, list[tuple[Mapping[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        found[family.name] = [(sample.labels, sample.value) for sample in family.samples]
    if not found.get("senders_wanted"):
        return None
    labels, wanted = found["senders_wanted"][0]
    due = sum(value for _, value in found.get("queue_depth", []))
    late = max((value for _, value in found.get("campaign_deadline_risk_seconds", [])), default=0.0)
    return Sample(round(seconds, 1), int(wanted), labels["reason"], pods.running, int(due), round(late, 1))
