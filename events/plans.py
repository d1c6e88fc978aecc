"""Whom a campaign planned: the ids of its mails, batch by batch, as blobs of ten bytes a mail.

They stay when the recipients themselves are deleted, for as long as EVENTS tells what became of them: so the end can be compared
with the beginning, recipient by recipient. Not compressed, because ids are hashes, in which nothing repeats.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from events import ids
from events.bus import Bus

_BYTES: Final = 10
"""Of a mail id (`ids.mail_digest`)."""


def blob_name(campaign: str, batch: int) -> str:
    return f"{campaign}/plan/{batch}"


def decode(blob: bytes) -> list[str]:
    """Mail ids, in the order of the audience. Raises `ValueError` for what is no list of them."""
    if len(blob) % _BYTES:
        raise ValueError(f"{len(blob)} bytes are no list of mail ids")
    return [ids.spell(blob[at : at + _BYTES]) for at in range(0, len(blob), _BYTES)]


async def read(bus: Bus, campaign: str, batches: int) -> AsyncIterator[list[str]]:
    """The mail ids of each batch. Raises `KeyError` where a list is not there (any more), and `RetryLater`."""
    blobs = await bus.blobs()
    for batch in range(1, batches + 1):
        yield decode(await blobs.get(blob_name(campaign, batch)))


async def digests(bus: Bus, campaign: str, batch: int) -> list[bytes]:
    """The mail ids of one batch as they lie there, ten bytes each (`ids.mail_digests`). Raises as `read`."""
    blob = await (await bus.blobs()).get(blob_name(campaign, batch))
    return [blob[at : at + _BYTES] for at in range(0, len(blob), _BYTES)]


async def forget(bus: Bus, campaign: str, batches: int) -> bool:
    """Delete the lists; says whether there were any. Harmless to repeat. Raises `RetryLater`.

    The first list goes last: as long as it is there, there may be more.
    """
    blobs = await bus.blobs()
    try:
        await blobs.get(blob_name(campaign, 1))
    except KeyError:
        return False
    for batch in range(batches, 0, -1):
        await blobs.delete(blob_name(campaign, batch))
    return True
