"""Settings of everything in this package, with what each is for."""

from __future__ import annotations

from pathlib import Path

import msgspec

from events import streams


class ProducerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How campaigns are launched and rendered."""

    public_url: str = "http://localhost:8080"
    """Where recipients reach the web app: links for unsubscribing and tracking begin with it."""
    link_secret: str = ""
    """Signs the links in mails; every producer and the web app need the same one. A secret."""
    batch_size: int = streams.BATCH_SIZE
    """Recipients in a batch, at most: what one producer takes at a time."""
    rejects_dir: Path | None = None
    """Where files of unusable audience rows go; unset: beside the audience."""
    mx_lookup: bool = False
    """Look up the MX records of domains whose name does not tell who hosts them, so that mail for Google Workspace and Microsoft
    365 goes in the lanes of these providers. Off by default: a demo should ask no DNS about anybody."""
    dns_servers: tuple[str, ...] = ()
    """The resolvers to ask, as `address` or `address:port`; empty: those of the system."""
