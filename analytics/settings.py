"""Settings of ingester and reports. Units stand in the names; each field says why its default is what it is."""

from __future__ import annotations

import msgspec

from analytics.scaling.settings import ScalingSettings


class ClickHouseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where ClickHouse is and how its tables are made."""

    url: str = "chdb://"
    """`chdb:///path/to/folder` runs ClickHouse inside this process with its data there (one process at a time owns a
    folder), `chdb://` in memory; `http://user:password@host:8123/database` or `https://…:8443/…` is a server or cluster.
    Secret, because it may hold a password: never logged."""
    cluster: str = ""
    """Name of the cluster that tables are made on; empty: this server alone. A setting for the first
    migration: tables that exist stay what they are."""
    on_cluster: bool = True
    """Make tables on all servers of `cluster` (`ON CLUSTER`). Turn off where the engine of the databases is Replicated, which
    does so by itself, and refuses to be told."""
    replicated: bool = False
    """Use Replicated… engines. Needs Keeper; docs/decisions/0025-clickhouse-clusters.md says what for."""
    replica_path: str = "/clickhouse/tables/{shard}/{database}/{table}"
    """Where a replicated table keeps its state in Keeper, with ClickHouse's macros."""
    replica_name: str = "{replica}"
    """The name of this replica, with ClickHouse's macros."""
    sharded: bool = False
    """Spread the rows over the shards of `cluster`, by mail: for more events than one server takes. Rows lie in
    `<database>_shard` on each server, and Distributed tables in the database of `url` stand for all of them. For the first
    migration."""
    keep_days: int = 400
    """Events and rates by the second are dropped after this long; 0: never. Over a year, so that a campaign can be
    compared with last year's. Totals, failures and facts about campaigns stay. For the first migration."""
    timeout_seconds: float = 60.0
    """For an answer over HTTP. Far above any query (the exact ledger of 10M recipients takes seconds), far below patience."""


class AnalyticsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How events get into ClickHouse and how campaigns are closed."""

    clickhouse: ClickHouseSettings = ClickHouseSettings()
    batch_rows: int = 100_000
    """Insert at this many events: 2 to 4 µs an event, against 10 times that at 1,000."""
    batch_age_seconds: float = 1.5
    """Insert at the latest when the oldest event is this old. At 8,000 events/s the dashboard is then 1.8 s behind at most; every
    insert costs about 50 ms of CPU beside what its events cost."""
    take_over_seconds: float = 60.0
    """Take over what another ingester began and has not finished for this long: then it is gone with its machine. One that starts
    takes over at once whatever is open. Must exceed the time of an insert, `clickhouse.timeout_seconds` at most."""
    retry_base_seconds: float = 0.5
    """First wait when ClickHouse or NATS do not answer; doubles each time."""
    retry_max_seconds: float = 15.0
    """Longest such wait. Nothing is lost meanwhile: events stay on the bus."""
    closing_interval_seconds: float = 1.0
    """How often to look whether a campaign is done, and to measure the queues."""
    exact_check_interval_seconds: float = 5.0
    """How often to count a campaign recipient by recipient once its rollups say that it is done."""
    cancel_quiet_seconds: float = 60.0
    """How long nothing must have happened to a cancelled campaign before what is left of it is stated as cancelled. The
    ack-wait of its mails: what senders held when it was cancelled has its outcome by then."""
    scaling: ScalingSettings = ScalingSettings()
    """How many senders are wanted."""
