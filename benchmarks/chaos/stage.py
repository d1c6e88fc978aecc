"""Everything that takes part, up: simulator, NATS, senders, producers, web app with ingester. It serves many campaigns."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from analytics.settings import AnalyticsSettings
from analytics.web.settings import WebSettings
from benchmarks.chaos.cluster import Cluster
from benchmarks.chaos.options import Options
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
from sender.settings import Relay, RetryPolicy, SenderSettings

POOL: Final = "default"
GREYLIST_SECONDS: Final = 0.5
RETRIES: Final = RetryPolicy(
    transient_base_seconds=0.5,
    transient_max_seconds=2.0,
    soft_interval_seconds=1.0,
    throttled_base_seconds=0.5,
)
"""Fractions of a second in place of minutes and hours."""


class Stage:
    """What is up, and where."""

    def __init__(
        self, options: Options, folder: Path, taker: Child, stack: Stack, bus: Bus, cluster: Cluster | None
    ) -> None:
        self.options = options
        self.folder = folder
        self.stack = stack
        self.bus = bus
        self.cluster = cluster
        self._taker = taker

    def processes(self) -> dict[str, int]:
        """The ids of the processes that run now, by name."""
        running = {name: child.pid for name, child in self.stack.children.items() if child.pid is not None}
        if self.cluster is None:
            running["nats"] = int((self.folder / "nats" / "lock").read_text("ascii"))
        return running

    async def taken(self) -> SimulatorStats:
        return await simulator.counters(self._control)

    async def misbehave(self, faults: Faults | None) -> None:
        """What the simulator does wrong from now on; None: nothing."""
        await simulator.set_faults(self._control, faults or Faults())

    @property
    def _control(self) -> int:
        return int(self._taker.addresses["control"])


@contextlib.asynccontextmanager
async def opened(folder: Path, options: Options, *, clustered: bool) -> AsyncIterator[Stage]:
    """Everything is up inside, with its data and logs in `folder`."""
    async with contextlib.AsyncExitStack() as exits:
        exits.enter_context(_log_in(folder / "logs"))
        taker = await exits.enter_async_context(_simulator(folder, options.seed))
        cluster = await exits.enter_async_context(Cluster(folder / "cluster")) if clustered else None
        settings = _settings(folder, options, int(taker.addresses["smtp"]))
        if cluster is not None:
            settings = replace(settings, nats=replace(settings.nats, url=cluster.url, replicas=3))
        plan = Plan(producers=options.producers, senders=options.senders, embedded_nats=cluster is None)
        stack = await exits.enter_async_context(Stack(plan, embedded(settings, clickhouse_is_set=False)))
        bus = await NatsBus.connect(stack.settings.nats, name="jetpost chaos")
        exits.push_async_callback(bus.close)
        yield Stage(options, folder, taker, stack, bus, cluster)


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


def _settings(folder: Path, options: Options, simulator_port: int) -> Settings:
    """Timeouts of SMTP stay below the ack-wait, as they must."""
    ack_wait = options.ack_wait_seconds
    relay = Relay(
        port=simulator_port,
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


@contextlib.asynccontextmanager
async def _simulator(folder: Path, seed: int) -> AsyncIterator[Child]:
    arguments = (
        "simulator",
        "--port=0",
        f"--greylist={GREYLIST_SECONDS}",
        f"--faults={msgspec.json.encode(Faults(seed=seed)).decode()}",
        f"--state-dir={folder / 'simulator'}",
    )
    child = Child(Component("simulator", arguments), {}, folder / "logs")
    await child.start(lambda: None)
    try:
        yield child
    finally:
        await child.stop()
