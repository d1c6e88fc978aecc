"""The links of a campaign's mails, as those who make mails and those who serve clicks agree on them.

A mail's link is `<public url>/c/<token>/<number>`, and the number stands for an entry of this table: whatever somebody asks for,
they are led to what was in the mail, or nowhere.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import msgspec

from events import campaigns, streams
from events.bus import Bus

CLICK_PATH: Final = "/c/"
OPEN_PATH: Final = "/o/"
UNSUBSCRIBE_PATH: Final = "/u/"
"""What follows `public_url`; then the token (`events.tokens`), and behind that of a click a slash and the number."""

Links = tuple[str, ...]
"""Absolute, ASCII; number 1 is the first."""

encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Links).decode


def decode(blob: bytes) -> Links:
    """Raises `msgspec.DecodeError`."""
    links: Links = _decode(blob)
    return links


def blob_name(campaign: str) -> str:
    """Of the object in the store `streams.LINKS`."""
    return f"{campaign}/links"


async def carry_over(bus: Bus) -> None:
    """The release before kept the tables in `streams.BLOBS`, which the public door may not read: copy those that are only there.
    Harmless to repeat. Raises `RetryLater`."""
    before, now = await bus.blobs(), await bus.blobs(streams.LINKS)
    for campaign in await campaigns.all_of(bus):
        if campaign.tracking.clicks:
            name = blob_name(campaign.id)
            try:
                await now.get(name)
            except KeyError:
                with suppress(KeyError):
                    await now.put(name, await before.get(name))
