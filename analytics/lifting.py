"""Takes an unsubscription back, and nothing else: who was suppressed for other reasons stays so."""

from __future__ import annotations

from typing import Final

import msgspec

from events import streams, subjects, suppression
from events.bus import Bus
from events.suppression import Entry, Hashing, Removal
from events.suppression_list import each_key, held, keys_of

LIFTED: Final = frozenset({"unsubscribe", "complaint"})
"""Their own words, which they may take back. An address that does not work does not work any better for it, and what an operator
decided stands."""


async def lift(bus: Bus, removal: Removal, hashing: Hashing) -> None:
    """Store the removal, or in place of what was said what stands of it for other reasons: in one message, so that nobody who
    stays on the list is off it for a moment. Reads the whole list: a second for a million entries.

    Harmless to repeat. Raises `RetryLater`.
    """
    said = await _said(bus, removal, hashing)
    if not any(entry.reason in LIFTED and entry.at <= removal.at for entry in said):
        return
    kept = [entry for entry in said if entry.reason not in LIFTED or entry.at > removal.at]
    if kept:
        stands = max(kept, key=lambda entry: held(entry.reason, int(entry.expires_at or 0)))
        await suppression.suppress(bus, [stands._replace(replaces=True)], hashing)
    else:
        await suppression.suppress(bus, [removal], hashing)


async def _said(bus: Bus, about: Removal, hashing: Hashing) -> list[Entry]:
    """What was said of an address for a list, since it was last removed. Raises `ForeignHashes`."""
    wanted, found = hashing.key(about.address), list[Entry]()
    async for record in bus.read(streams.SUPPRESSION.name, subjects.SUPPRESSION):
        try:
            rows = suppression.decode(record.payload)
        except msgspec.DecodeError:
            continue  # of a later release; whoever follows the list tells of it
        keys = keys_of(rows, hashing) if rows.list == about.list else b""
        if wanted not in keys:
            continue
        places = [place for place, key in enumerate(each_key(keys)) if key == wanted]
        if rows.action != "add" and places:
            found = []
        if rows.action != "remove" and places:
            entries = rows.entries()
            found += [entries[place]._replace(address=about.address) for place in places]
    return found
