"""What was seen of a real campaign, look by look, as a file: for decisions to be made about it again, by other releases."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from analytics import queues
from analytics.queues import Queues
from analytics.scaling import seen
from analytics.scaling.seen import Seen, Shared, Tried
from analytics.scaling.settings import ScalingSettings
from events import campaigns
from events.bus import Bus, Storage
from events.fleet import Beat
from events.schemas import Campaign
from jetpost.cli.state import Fault, fetch_json

EVERY_SECONDS: Final = 10.0


class Look(msgspec.Struct, frozen=True, omit_defaults=True):
    """`analytics.scaling.seen.Seen`, as JSON has it."""

    now: float
    due: list[tuple[str, str, str, int]]
    """Pool, mailbox provider, campaign and mails."""
    waiting: int
    batches: dict[str, int]
    queued: int
    campaigns: list[Campaign]
    shared: dict[str, Shared] = {}
    beats: list[Beat] = []
    tried: dict[str, Tried] = {}

    def seen(self) -> Seen:
        """As it was seen."""
        measured = Queues(
            due={(pool, provider, campaign): mails for pool, provider, campaign, mails in self.due},
            waiting=self.waiting,
            batches=self.batches,
            given_up={},
            ingested=0,
            last_event=0,
            storage=Storage(0, None),
        )
        return Seen(
            now=self.now,
            campaigns=self.campaigns,
            queues=measured,
            queued=self.queued,
            shared=self.shared,
            beats=self.beats,
            tried=self.tried,
        )


class Recording(msgspec.Struct, frozen=True):
    settings: ScalingSettings
    looks: list[Look]


def read(file: Path) -> Recording:
    """Raises `msgspec.DecodeError`."""
    return msgspec.json.decode(file.read_bytes(), type=Recording)


def write(file: Path, settings: ScalingSettings, looks: Sequence[Look]) -> None:
    """A line for each look."""
    encode = msgspec.json.Encoder().encode
    lines = b",\n".join(encode(look) for look in looks)
    file.write_bytes(b'{"settings":%b,"looks":[\n%b\n]}\n' % (encode(settings), lines))


class Recorder:
    """Looks every few seconds, as an ingester does."""

    def __init__(self, bus: Bus, web_url: str) -> None:
        self.looks: list[Look] = []
        self._bus = bus
        self._web_url = web_url

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self.looks.append(await self._look())
            await asyncio.sleep(EVERY_SECONDS)

    async def _look(self) -> Look:
        measured, known = await queues.measure(self._bus), await campaigns.all_of(self._bus)
        tried = {one.id: found for one in known if (found := await self._tried(one)) is not None}
        found = await seen.look(self._bus, measured, known, tried)
        return Look(
            round(found.now, 1),
            [(*lane, mails) for lane, mails in sorted(measured.due.items())],
            measured.waiting,
            dict(measured.batches),
            found.queued,
            [msgspec.structs.replace(one, subject="", from_header="") for one in known],
            {name: shared for name, shared in found.shared.items() if shared != Shared()},
            list(found.beats),
            tried,
        )

    async def _tried(self, campaign: Campaign) -> Tried | None:
        if campaign.finished_at is not None:
            return None
        with contextlib.suppress(Fault):
            detail: dict[str, Any] = await fetch_json(f"{self._web_url}/api/campaigns/{campaign.id}")
            if detail["figures"]:
                ledger = detail["figures"]["progress"]["ledger"]
                return Tried(max(0, ledger["queued"]), ledger["retrying"])
        return None
