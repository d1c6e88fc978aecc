"""Everything that takes part, up: simulator, NATS, senders, producers, web app with ingester. It serves many campaigns."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from analytics.settings import AnalyticsSettings
from analytics.web.settings import WebSettings
from benchmarks.chaos.cluster import Cluster
from benchmarks.chaos.fault import Needs
from benchmarks.chaos.hosts import HERE, Hosts, Place
from benchmarks.chaos.options import Options
from benchmarks.chaos.spread import HOSTS, Spread, spread
from events.bus import Bus
from events.nats_bus import BusSettings, NatsBus
from jetpost.logs import LogSettings
from jetpost.settings import Settings
from jetpost.simulator import client as simulator
from jetpost.simulator.settings import Faults
from jetpost.simulator.stats import SimulatorStats
from jetpost.stack import Plan, Stack, embedded
from jetpost.supervisor import Child, Component
from producer.settings import ProducerSettings
from sender.adaptive.settings import AdaptiveSettings
from sender.settings import Relay, RetryPolicy, SenderSettings
from sender.throttle.limits import Limits

POOL: Final = "default"
RELAY: Final = "relay"
"""The host of the simulator."""
GREYLIST_SECONDS: Final = 0.5
RETRIES: Final = RetryPolicy(
    transient_base_seconds=0.5,
    transient_max_seconds=2.0,
    soft_interval_seconds=1.0,
    throttled_base_seconds=0.5,
)
"""Fractions of a second in place of minutes and hours."""


class Taker(NamedTuple):
    """The simulator, and where it runs."""

    child: Child
    place: Place

    @property
    def smtp(self) -> int:
        return int(self.child.addresses["smtp"])

    @property
    def control(self) -> int:
        return int(self.child.addresses["control"])


class Stage:
    """What is up, and where."""

    cluster: Cluster | None = None
    hosts: Hosts | None = None

    def __init__(self, options: Options, folder: Path, taker: Taker, stack: Stack | Spread, bus: Bus) -> None:
        self.options = options
        self.folder = folder
        self.stack = stack
        self.bus = bus
        self._taker = taker

    def processes(self) -> dict[str, int]:
        """The ids of the processes that run now, by name."""
        running = {name: child.pid for name, child in self.stack.children.items() if child.pid is not None}
        if self.cluster is None:
            running["nats"] = int((self.folder / "nats" / "lock").read_text("ascii"))
        return running

    async def taken(self) -> SimulatorStats:
        return await simulator.counters(self._taker.control, self._taker.place.address)

    async def misbehave(self, faults: Faults | None) -> None:
        """What the simulator does wrong from now on; None: nothing."""
        await simulator.set_faults(self._taker.control, faults or Faults(), self._taker.place.address)


@contextlib.asynccontextmanager
async def opened(folder: Path, options: Options, needs: Needs) -> AsyncIterator[Stage]:
    """Everything is up inside, with its data and logs in `folder`. Raises `HostsRefused` where it needs hosts."""
    async with contextlib.AsyncExitStack() as exits:
        exits.enter_context(_log_in(folder / "logs"))
        hosts = exits.enter_context(Hosts(*HOSTS, RELAY)) if needs == "hosts" else None
        taker = await exits.enter_async_context(_simulator(folder, options.seed, hosts.place(RELAY) if hosts else HERE))
        settings = _settings(folder, options, taker)
        cluster = None
        stack: Stack | Spread
        if hosts is not None:
            places = [hosts.place(name) for name in HOSTS]
            cluster = await exits.enter_async_context(Cluster(folder / "cluster", places))
            stack = await exits.enter_async_context(spread(cluster, _limited(settings, options)))
        else:
            if needs == "cluster":
                cluster = await exits.enter_async_context(Cluster(folder / "cluster"))
                settings = replace(settings, nats=replace(settings.nats, url=cluster.url, replicas=3))
            plan = Plan(producers=options.producers, senders=options.senders, embedded_nats=cluster is None)
            stack = await exits.enter_async_context(Stack(plan, embedded(settings, clickhouse_is_set=False)))
        bus = await NatsBus.connect(stack.settings.nats, name="jetpost chaos")
        exits.push_async_callback(bus.close)
        stage = Stage(options, folder, taker, stack, bus)
        stage.cluster, stage.hosts = cluster, hosts
        yield stage


@contextlib.contextmanager
def _log_in(folder: Path) -> Iterator[None]:
    """What the supervisor of the processes says goes to a file beside their logs."""
    folder.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(folder / "supervisor.log")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


def _settings(folder: Path, options: Options, taker: Taker) -> Settings:
    """Timeouts of SMTP stay below the ack-wait, as they must."""
    ack_wait = options.ack_wait_seconds
    relay = Relay(
        host=taker.place.address,
        port=taker.smtp,
        max_connections=options.connections,
        pipeline_depth=options.pipeline_depth,
        command_timeout_seconds=ack_wait * 0.25,
        data_timeout_seconds=ack_wait * 0.5,
    )
    return Settings(
        data_dir=folder,
        nats=BusSettings(ack_wait_seconds=ack_wait),
        producer=ProducerSettings(batch_size=options.batch_size),
        sender=SenderSettings(pools={POOL: relay}, retry=RETRIES),
        analytics=AnalyticsSettings(
            batch_age_seconds=0.3, closing_interval_seconds=0.5, exact_check_interval_seconds=1
        ),
        web=WebSettings(port=0),
        log=LogSettings(format="json"),
    )


def _limited(settings: Settings, options: Options) -> Settings:
    """All senders together keep to a rate, and each holds few mails, so that much is left to do while a host is away."""
    relay = replace(settings.sender.pools[POOL], limits=Limits(rate=options.rate))
    fixed = AdaptiveSettings(enabled=False)  # what the simulator refuses is not about the rate
    sender = replace(settings.sender, pools={POOL: relay}, adaptive=fixed, fetch_mails=50, prefetch_mails=100)
    return replace(settings, sender=sender)


@contextlib.asynccontextmanager
async def _simulator(folder: Path, seed: int, place: Place) -> AsyncIterator[Taker]:
    arguments = (
        "simulator",
        "--port=0",
        f"--host={place.address}",
        f"--greylist={GREYLIST_SECONDS}",
        f"--faults={msgspec.json.encode(Faults(seed=seed)).decode()}",
        f"--state-dir={folder / 'simulator'}",
    )
    child = Child(Component("simulator", arguments, place.program), {}, folder / "logs")
    await child.start(lambda: None)
    try:
        yield Taker(child, place)
    finally:
        await child.stop()
