"""What readers did with a campaign's mails: opens, clicks, unsubscriptions, complaints. Asked of ClickHouse.

People and machines are told apart, and a machine's doings are counted but never mixed with people's: mail programs that fetch
every picture, and scanners that follow every link (docs/unsubscribe.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from analytics.clickhouse.client import Store

SOON_SECONDS: Final = 5.0
"""A click so soon after its mail's acceptance was a scanner on the way: nobody has got the mail by then and read it."""

SWEPT_LINKS: Final = 3
"""So many different links of a mail followed within three seconds were not read one after the other."""


class Link(msgspec.Struct, frozen=True):
    number: int
    """Of the campaign's table of links; 0 where it is none of them."""
    url: str
    clicks: int
    machine_clicks: int
    """Of these."""
    unique_clicks: int
    """Mails in which a person followed it."""


class Engagement(msgspec.Struct, frozen=True, kw_only=True):
    """Machines are counted among `opens` and `clicks`; `unique_…` are mails, and people alone count there."""

    delivered: int = 0
    """Mails of which an ESP says that the mailbox provider has them; 0 where none tells."""
    opens: int = 0
    machine_opens: int = 0
    unique_opens: int = 0
    clicks: int = 0
    machine_clicks: int = 0
    unique_clicks: int = 0
    unsubscribed: int = 0
    """Mails whose readers unsubscribed, and did not take it back."""
    complained: int = 0
    returned: int = 0
    """Mails that were accepted and came back, or that the ESP did not hand on: the ledger goes on counting them as accepted."""
    returned_hard: int = 0
    """Of these: the address will never work."""
    links: list[Link] = []
    """The most followed first."""


async def of_campaign(store: Store, campaign: str) -> Engagement:
    """Raises `ClickHouseUnavailable`."""
    counts = {row[0]: row[1:] for row in await store.query("reaction_counts", campaign=campaign)}
    clicked = await store.query("clicks", campaign=campaign, soon=SOON_SECONDS, swept=SWEPT_LINKS)
    links = [Link(*row[1:]) for row in clicked if not row[0]]
    return _engagement(counts, links, next((row for row in clicked if row[0]), (1, 0, "", 0, 0, 0)))


def _engagement(counts: Mapping[str, Sequence[Any]], links: list[Link], clicked: Sequence[Any]) -> Engagement:
    none = (0, 0, 0, 0)
    opens, _, machine_opens, unique_opens = counts.get("opened", none)
    return Engagement(
        delivered=counts.get("delivered", none)[1],
        opens=opens,
        machine_opens=machine_opens,
        unique_opens=unique_opens,
        clicks=clicked[3],
        machine_clicks=clicked[4],
        unique_clicks=clicked[5],
        unsubscribed=counts.get("unsubscribed", none)[1],
        complained=counts.get("complained", none)[1],
        returned=counts.get("returned", none)[1],
        returned_hard=counts.get("returned_hard", none)[1],
        links=links,
    )
