"""The part `adaptive`: campaigns to providers that bear only so much, with rates that follow what they say and with fixed ones.

The simulator answers as the big providers do (jetpost/simulator/profiles.py): more than they bear is refused, and who goes on is
refused everything for a while, longer each time. Time runs ten times as fast for everybody: rates, penalties, windows and the
waits of retries, so that minutes show what takes hours. Each provider gets a share of the mails that keeps it as busy as the
others. Four campaigns, the same mails each:

    adaptive, no limits   Jetpost as it comes
    adaptive, too fast    limits of twice what the providers bear, which adapt
    fixed, too fast       the same limits, which do not: an operator's guess
    fixed, no limits      as fast as the mails can be refused
    fixed, known          limits of just what the providers bear: what only an oracle can set, and the least time there is
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import uvloop
from msgspec.structs import replace
from rich.console import Console
from rich.table import Table

from benchmarks.frame.isolation import apart
from benchmarks.frame.part import Part
from events import ids, schemas, streams, subjects
from events.bus import Message
from events.compression import Compressor
from events.nats_bus import BusSettings, NatsBus
from events.nats_server import NatsServer
from events.providers import PROVIDERS, Provider
from events.schemas import Campaign, Mail
from jetpost.logs import LogSettings
from jetpost.settings import Settings, to_environment
from jetpost.simulator import client, profiles
from jetpost.simulator.profiles import Profile
from jetpost.supervisor import Child, Component
from sender.adaptive.settings import AdaptiveSettings
from sender.settings import Relay, RetryPolicy, SenderSettings
from sender.throttle.limits import Limits

FASTER: Final = 10.0
CAMPAIGN: Final = "adaptive"
POOL: Final = "default"
LONGEST_SECONDS: Final = 300.0
"""A campaign that takes longer is given up; what is left is told."""
_BODY: Final = b"Subject: news\r\n\r\nHello\r\n"
_DOMAINS: Final[Mapping[Provider, str]] = {
    "gmail": "gmail.com",
    "microsoft": "outlook.com",
    "yahoo": "yahoo.com",
    "apple": "icloud.com",
    "other": "example.org",
}
_PROFILES: Final = {provider: profiles.faster(profile, FASTER) for provider, profile in profiles.USUAL.items()}


class Plan(NamedTuple):
    """How a campaign is sent."""

    name: str
    adapts: bool
    times: float | None
    """What is configured, in terms of what the providers bear; None: no limits."""


PLANS: Final = (
    Plan("adaptive, no limits", adapts=True, times=None),
    Plan("adaptive, too fast", adapts=True, times=2.0),
    Plan("fixed, too fast", adapts=False, times=2.0),
    Plan("fixed, no limits", adapts=False, times=None),
    Plan("fixed, known", adapts=False, times=1.0),
)


def settings_for(plan: Plan, port: int, nats_url: str, folder: Path, connections: int) -> Settings:
    """Of its senders. Whatever is a time is a tenth of its default."""
    relay = Relay(port=port, max_connections=connections, lanes=_limits(plan.times))
    usual = AdaptiveSettings(enabled=plan.adapts)
    adaptive = replace(
        usual,
        floor=usual.floor * FASTER,
        window_seconds=usual.window_seconds / FASTER,
        recovery_seconds=usual.recovery_seconds / FASTER,
        pause_max_seconds=usual.pause_max_seconds / FASTER,
    )
    retry = RetryPolicy()
    retry = replace(
        retry,
        throttled_base_seconds=retry.throttled_base_seconds / FASTER,
        transient_base_seconds=retry.transient_base_seconds / FASTER,
        transient_max_seconds=retry.transient_max_seconds / FASTER,
        limit=50,
    )
    sender = SenderSettings(pools={POOL: relay}, adaptive=adaptive, retry=retry)
    return Settings(data_dir=folder, nats=BusSettings(url=nats_url), sender=sender, log=LogSettings(format="json"))


def _limits(times: float | None) -> dict[Provider, Limits]:
    """Connections are what is published; the rate is what nobody knows."""
    if times is None:
        return {}
    return {provider: _limit(profile, times) for provider, profile in _PROFILES.items()}


def _limit(profile: Profile, times: float) -> Limits:
    return Limits(rate=profile.rate * times, connections=profile.connections)


def shares(mails: int) -> dict[Provider, int]:
    """Mails for each provider: as it bears them."""
    total = sum(profile.rate for profile in _PROFILES.values())
    return {provider: round(mails * profile.rate / total) for provider, profile in _PROFILES.items()}


def measure(plan: Plan, mails: int, senders: int, connections: int) -> dict[str, Any]:
    return uvloop.run(_measure(plan, mails, senders, connections))


async def _measure(plan: Plan, mails: int, senders: int, connections: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="jetpost-adaptive-") as name:
        folder = Path(name)
        async with NatsServer(folder / "nats") as server, children(folder) as start:
            bus = await NatsBus.connect(BusSettings(url=server.url), name="bench")
            try:
                simulator = await start(
                    "simulator", ("simulator", "--port=0", f"--state-dir={folder / 'simulator'}"), {}
                )
                await client.set_profiles(int(simulator.addresses["control"]), _PROFILES)
                await bus.setup()
                await queue(bus, shares(mails))
                port = int(simulator.addresses["smtp"])
                environment = to_environment(settings_for(plan, port, server.url, folder, connections))
                began = time.monotonic()
                for number in range(senders):
                    await start(f"sender-{number + 1}", ("sender", "run"), environment)
                left = await until_empty(bus, began)
                return await _result(plan, bus, simulator, time.monotonic() - began, left)
            finally:
                await bus.close()


@asynccontextmanager
async def children(folder: Path) -> AsyncIterator[Callable[..., Awaitable[Child]]]:
    """A function that starts `jetpost ARGUMENTS` under a name; all end with the block."""
    children: list[Child] = []

    async def start(name: str, arguments: tuple[str, ...], environment: Mapping[str, str]) -> Child:
        child = Child(Component(name, arguments), environment, folder / "logs")
        children.append(child)
        await child.start(lambda: None)
        return child

    try:
        yield start
    finally:
        for child in reversed(children):
            await child.stop()


async def _result(plan: Plan, bus: NatsBus, simulator: Child, seconds: float, left: int) -> dict[str, Any]:
    counted = await client.stats(int(simulator.addresses["control"]))
    subjects_stated = await bus.count_by_subject(streams.EVENTS.name, subjects.EVENTS)
    stated = {subject.split(".")[1]: number for subject, number in subjects_stated.items()}
    return {
        "name": plan.name,
        "seconds": round(seconds, 1),
        "left": left,
        "accepted": counted.accepted,
        "accepted_more_than_once": counted.accepted_more_than_once,
        "deferrals": stated.get("deferred", 0),
        "refused": {name: counted.refused.get(name, 0) for name in ("too-fast", "too-many-connections")},
        "stated": stated,
    }


async def until_empty(bus: NatsBus, began: float) -> int:
    """Waits until nothing is queued; mails that are left after the longest time. `began` is of `time.monotonic`."""
    left = 1
    while left and time.monotonic() - began < LONGEST_SECONDS:
        await asyncio.sleep(0.1)
        left = (await bus.stream_state(streams.MAIL.name)).messages
    return left


async def queue(bus: NatsBus, mails: Mapping[Provider, int]) -> None:
    """A campaign with so many mails in its lanes."""
    campaign = Campaign(CAMPAIGN, CAMPAIGN, "running", POOL, "bounces@example.com", time.time())
    await (await bus.blobs()).put(f"{CAMPAIGN}/dictionary", _BODY)
    await (await bus.bucket(streams.CAMPAIGNS)).put(CAMPAIGN, schemas.encode_campaign(campaign))
    for lane in streams.lanes(CAMPAIGN, POOL):
        await bus.create_consumer(lane)
    messages = list(_messages(mails))
    for start in range(0, len(messages), streams.ATOMIC_BATCH):
        await bus.publish(streams.MAIL.name, messages[start : start + streams.ATOMIC_BATCH])


def _messages(mails: Mapping[Provider, int]) -> Iterator[Message]:
    compress = Compressor(_BODY).compress
    for provider in PROVIDERS:
        for number in range(mails[provider]):
            recipient = f"{number}@{_DOMAINS[provider]}"
            mail_id = ids.mail_id(CAMPAIGN, recipient)
            body = compress(b"Message-ID: <%b.bench@example.com>\r\n%b" % (mail_id.encode(), _BODY))
            mail = Mail(mail_id, recipient, 1, time.time(), body)
            due = subjects.mail_due(POOL, provider, CAMPAIGN)
            yield Message(due, schemas.encode_mail(mail), ids.attempt_id(mail_id, 1))


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mails", type=int, default=20_000, help="of each campaign")
    parser.add_argument("--senders", type=int, default=2, help="processes")
    parser.add_argument("--connections", type=int, default=20, help="of each sender")
    parser.add_argument("--plans", nargs="+", choices=[plan.name for plan in PLANS], help="only these")


def _run(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    chosen = [plan for plan in PLANS if not arguments.plans or plan.name in arguments.plans]
    results = []
    for plan in chosen:
        results.append(apart(measure, plan, arguments.mails, arguments.senders, arguments.connections))
        console.print(f"[dim]{plan.name}: {results[-1]['seconds']:,.0f} s, {results[-1]['deferrals']:,} deferrals[/]")
    bears = sum(profile.rate for profile in _PROFILES.values())
    return {"providers_bear_per_second": bears, "least_seconds": arguments.mails / bears, "campaigns": results}


def missed(result: Mapping[str, Any]) -> list[str]:
    """What was promised and not kept, in words."""
    by_name = {one["name"]: one for one in result["campaigns"]}
    found = [
        f"{name}: {one['accepted_more_than_once']} mails were taken more than once"
        for name, one in by_name.items()
        if one["accepted_more_than_once"]
    ]
    for ours, other in (("adaptive, too fast", "fixed, too fast"), ("adaptive, no limits", "fixed, no limits")):
        if ours in by_name and other in by_name:
            found += [
                f"{ours}: {by_name[ours][what]:,g} {what}, no fewer than {other} with {by_name[other][what]:,g}"
                for what in ("seconds", "deferrals")
                if by_name[ours][what] >= by_name[other][what]
            ]
    return found


def show(result: dict[str, Any], console: Console) -> None:
    """A line for each campaign."""
    console.print(
        f"The providers bear {result['providers_bear_per_second']:,.0f} mails/s:"
        f" at least {result['least_seconds']:,.0f} s are needed. Time runs {FASTER:g} times as fast"
    )
    headings = ("campaign", "seconds", "accepted", "deferrals", "a mail", "refused: too fast", "connections")
    table = Table(*headings, box=None, header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    for one in result["campaigns"]:
        seconds = f"{one['seconds']:,.0f}" if not one["left"] else f"> {one['seconds']:,.0f}"
        table.add_row(
            one["name"],
            seconds,
            f"{one['accepted']:,}",
            f"{one['deferrals']:,}",
            f"{one['deferrals'] / max(1, one['accepted']):.2f}",
            f"{one['refused']['too-fast']:,}",
            f"{one['refused']['too-many-connections']:,}",
        )
    console.print(table)
    for text in missed(result):
        console.print(f"[bold red]missed[/]: {text}")


PART = Part(
    name="adaptive",
    what="campaigns to providers that bear only so much: rates that follow what they say, and fixed ones",
    add_options=_add_options,
    run=_run,
    show=show,
    failed=lambda result: any("more than once" in text for text in missed(result)),
    calibrated=False,
)
