"""What the demo runs with: nothing from outside, so that it never reaches a real relay or a real queue."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Final

from analytics.web.settings import WebSettings
from jetpost.logs import LogSettings
from jetpost.settings import Settings
from producer.settings import ProducerSettings
from sender.adaptive.settings import AdaptiveSettings
from sender.settings import Relay, RetryPolicy, SenderSettings

POOL: Final = "default"

QUICK_RETRIES: Final = RetryPolicy(
    transient_base_seconds=1.0,
    transient_max_seconds=3.0,
    soft_interval_seconds=2.0,
    throttled_base_seconds=1.0,
    throttled_max_seconds=60.0,
)
"""Seconds in place of minutes and hours, so that the demo ends within a minute."""

SLOW_SECONDS: Final = 0.5
GREYLIST_SECONDS: Final = 1.0


def settings(data_dir: Path, simulator_port: int) -> Settings:
    """Everything on this machine, mail to the simulator."""
    web = WebSettings(port=_free_or_any(WebSettings().port))
    return Settings(
        data_dir=data_dir,
        producer=ProducerSettings(public_url=f"http://localhost:{web.port}"),
        sender=SenderSettings(
            pools={POOL: Relay(port=simulator_port, relay_signs=True)},
            retry=QUICK_RETRIES,
            adaptive=AdaptiveSettings(enabled=False),  # single recipients say that it is too fast, whatever the rate
        ),
        web=web,
        log=LogSettings(format="json"),
    )


def _free_or_any(port: int) -> int:
    """The usual port of the dashboard, or 0 (any) where something else has it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return 0
    return port
