"""How long after its mail's acceptance a click came: what comes within seconds was a scanner.

Whoever serves the links does not know when a mail was accepted, but ClickHouse does by the time its clicks are inserted. So
those of a range are asked about together, and a range without clicks costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from analytics.clickhouse import tables
from analytics.clickhouse.client import Store
from analytics.rows import UNKNOWN_SECONDS

_CAMPAIGN, _MAIL, _TYPE, _AT, _AFTER = map(
    tables.REACTIONS.columns.index, ("campaign", "mail_id", "type", "at", "after_seconds")
)
_CLICKED: Final = "clicked"


async def timed(store: Store, reactions: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
    """The columns of `tables.REACTIONS` with `after_seconds` filled in, as far as it is known. Raises `ClickHouseUnavailable`."""
    pairs = list(zip(reactions[_CAMPAIGN], reactions[_MAIL], strict=True))
    asked = sorted({pair for pair, kind in zip(pairs, reactions[_TYPE], strict=True) if kind == _CLICKED})
    if not asked:
        return reactions
    campaigns, mails = map(list, zip(*asked, strict=True))
    rows = await store.query("accepted_at", campaigns=campaigns, mails=mails)
    accepted_at = {(campaign, mail): at for campaign, mail, at in rows}
    columns = list(reactions)
    columns[_AFTER] = [
        _after(at, accepted_at.get(pair)) if kind == _CLICKED else UNKNOWN_SECONDS
        for pair, kind, at in zip(pairs, reactions[_TYPE], reactions[_AT], strict=True)
    ]
    return columns


def _after(clicked_at_milliseconds: int, accepted_at: float | None) -> float:
    """Clocks of two machines differ: a click may seem to come before its mail, and counts as at once."""
    return UNKNOWN_SECONDS if accepted_at is None else max(0.0, clicked_at_milliseconds / 1_000 - accepted_at)
