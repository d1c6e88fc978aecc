"""Settings of everything in this package, with what each is for."""

from __future__ import annotations

from pathlib import Path

import msgspec

from events import streams
from events.secrets import Discreet


class Database(Discreet, frozen=True, kw_only=True):
    """A database that audiences come from, with a user who may read and, better, do nothing else."""

    url: str = ""
    """`postgresql://user@host/name`, or `sqlite:///path/to/file.db`; with `driver`, what that driver calls `uri`."""
    password: str = ""
    """For PostgreSQL, where it stands neither in `url` nor in `~/.pgpass`. Secret: never logged."""
    driver: str = ""
    """The ADBC driver of another database: the name or path that its driver manager knows; empty: as `url` says."""
    check_seconds: float = 30.0
    """How long PostgreSQL may think about each question of `jetpost check`; 0: without end."""
    snapshot_seconds: float = 14_400.0
    """How long PostgreSQL lets one launch read, pauses included, since it keeps old rows meanwhile. Then the launch stops, and
    the same command goes on. 0: without end."""


class ProducerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How campaigns are launched and rendered."""

    public_url: str = "http://localhost:8080"
    """Where recipients reach the web app: links for unsubscribing and tracking begin with it."""
    link_secret: str = ""
    """Signs the links in mails; every producer and the web app need the same one. A secret."""
    batch_size: int = streams.BATCH_SIZE
    """Recipients in a batch, at most: what one producer takes at a time."""
    rejects_dir: Path | None = None
    """Where files of unusable audience rows go; unset: beside the audience, or for a query beside the campaign file."""
    databases: dict[str, Database] = msgspec.field(default_factory=dict)
    """Those that campaign files may name, by their names."""
    mx_lookup: bool = False
    """Look up the MX records of domains whose name does not tell who hosts them, so that mail for Google Workspace and Microsoft
    365 goes in the lanes of these providers. Off by default: a demo should ask no DNS about anybody."""
    dns_servers: tuple[str, ...] = ()
    """The resolvers to ask, as `address` or `address:port`; empty: those of the system."""
