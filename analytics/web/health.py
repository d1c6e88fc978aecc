"""What keeps campaigns from going on or figures from being right, told in a sentence for whoever looks at the dashboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from analytics import progress
from analytics.reports import RATE_WINDOW_SECONDS
from analytics.web import figures
from analytics.web.models import CampaignInfo, Health, LaneDepth, Progress
from events import streams
from events.breaker import Opening
from events.bus import Bus, Storage
from events.errors import RetryLater

BEHIND_EVENTS: Final = 50_000
"""More events than this not counted yet, and the figures are called behind: seconds at full rate."""

BUS_UNAVAILABLE: Final = (
    "NATS does not answer, so queues and campaign states are not known. Jetpost goes on when it is back."
)
UNAVAILABLE: Final = (
    "ClickHouse does not answer. Sending goes on and nothing is lost; the figures catch up when it is back."
)
BEHIND: Final = "The figures are behind: more events arrive than are counted. Nothing is lost; they catch up."
STANDING_STILL: Final = (
    f"Mails are due, and none has had an outcome for {RATE_WINDOW_SECONDS} seconds. Nothing is lost. "
    "Do senders run, and does the relay answer? Their logs say why."
)


async def measure(bus: Bus) -> tuple[Health, int]:
    """With the sequence up to which events are in ClickHouse; 0 where that is not known.

    Never raises: a bus that does not answer is what it tells.
    """
    try:
        last = (await bus.stream_state(streams.EVENTS.name)).last_sequence
        ingested = await progress.ingested(bus)
        storage = await bus.storage()
    except RetryLater:
        return Health(bus="unavailable", message=BUS_UNAVAILABLE), 0
    return judge(max(0, last - ingested), storage), ingested


def judge(lag_events: int, storage: Storage) -> Health:
    behind = lag_events > BEHIND_EVENTS
    troubles = [nearly_full(storage)] if storage.nearly_full else []
    return Health(
        analytics="behind" if behind else "live",
        lag_events=lag_events,
        store_used_bytes=storage.used,
        store_limit_bytes=storage.limit,
        message="\n".join([*troubles, *([BEHIND] if behind else [])]),
    )


def nearly_full(storage: Storage) -> str:
    return (
        f"JetStream holds {storage}: producers wait, so that senders can go on. "
        "Nothing is lost; it goes on by itself as mails are sent, or when JetStream has more room."
    )


def without_clickhouse(health: Health) -> Health:
    return _also(msgspec.structs.replace(health, analytics="unavailable"), UNAVAILABLE)


def with_stopped(health: Health, stopped: Mapping[str, Mapping[str, Opening]]) -> Health:
    """With what the circuit breaker stops, by campaign and lane."""
    for campaign, lanes in stopped.items():
        for lane, opening in lanes.items():
            what = f"the lane {lane}" if lane else "every lane"
            told = f"The circuit breaker stops {what} of {campaign}: {opening.reason}. Its mails wait."
            health = _also(health, f"{told} When the cause is mended: jetpost breaker resume {campaign}.")
    return health


def of_campaign(health: Health, info: CampaignInfo, made: Progress, lanes: Sequence[LaneDepth], now: float) -> Health:
    """The health, with what is wrong with this campaign."""
    settled_in = not info.scheduled and now - figures.began_at(info, now) > 2 * RATE_WINDOW_SECONDS
    due = any(lane.waiting or lane.in_flight for lane in lanes if not lane.held)
    is_still = info.status in {"planning", "running"} and settled_in and due and made.rate == 0
    return _also(health, STANDING_STILL) if is_still and health.analytics == "live" else health


def _also(health: Health, message: str) -> Health:
    """One notice a line."""
    return msgspec.structs.replace(health, message=f"{health.message}\n{message}".strip())
