"""Made-up history: events through the real schema and its real views, made inside ClickHouse.

Campaigns of equal size that overlap, one beginning an hour after the other, the newest of them still running; of a thousand
events 910 are accepted at once, 40 are deferred and 40 are accepted at the second try. The others bounced, failed, or once in
20,000 are in doubt. Beside them lie many small campaigns of earlier days.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
from clickhouse_connect.driver.client import Client

from analytics.clickhouse import tables

CHUNK: Final = 2_000_000
"""Events in one statement."""
HOURS: Final = 10
"""How long a campaign takes."""
SMALL: Final = 1_000
"""Events of one of the small campaigns."""

_COLUMNS: Final = ", ".join(tables.EVENTS.columns)
_EVENTS: Final = """
WITH
    number % 1000 AS place,
    place BETWEEN 40 AND 79 AS again,
    number - if(again, 40, 0) AS mail,
    cityHash64(mail) AS chance,
    multiIf(
        place < 40, 'deferred',
        place BETWEEN 80 AND 87, 'bounced',
        place = 88, 'failed',
        place = 89 AND intDiv(number, 20000) % 20 = 0, 'in_doubt',
        'accepted'
    ) AS kind,
    intDiv(number, 1000) % {campaigns:UInt32} AS campaign_number,
    {first_at:Float64} + campaign_number * 3600 + number / {events:UInt64} * {hours:UInt32} * 3600 AS moment,
    multiIf(kind = 'deferred', 451, kind = 'bounced', 550, kind = 'failed', 554, kind = 'accepted', 250, 0) AS code,
    multiIf(code = 451, '4.7.1', code = 550, '5.1.1', code = 554, '5.7.1', code = 250, '2.0.0', '') AS enhanced
SELECT
    {before:UInt64} + number + 1 AS sequence,
    concat({prefix:String}, leftPad(toString(campaign_number), 4, '0')) AS campaign,
    substring(lower(hex(MD5(concat({prefix:String}, toString(mail))))), 1, 16) AS mail_id,
    if(again, 2, 1) AS attempt,
    kind AS type,
    toDateTime64(moment, 3, 'UTC') AS at,
    concat('person.', toString(mail), '@example.com') AS recipient,
    'main' AS pool,
    ['gmail', 'microsoft', 'gmail', 'yahoo', 'gmail', 'other', 'gmail', 'microsoft', 'apple', 'other'][1 + chance % 10]
        AS provider,
    multiIf(kind = 'deferred', 'transient', kind = 'bounced', 'hard', kind = 'failed', 'block', '') AS failure_class,
    code,
    enhanced,
    if(kind = 'in_doubt', 'the connection died', concat(enhanced, ' ', hex(chance))) AS reply,
    if(kind = 'accepted', '', concat(enhanced, ' reason ', toString(chance % 15))) AS pattern,
    if(kind = 'accepted', -log((1 + sipHash64(number) % 1000000) / 1000001) * if(again, 300, 4), 0) AS latency_seconds,
    if(kind = 'deferred', at + 300, toDateTime64(0, 3, 'UTC')) AS retry_at
FROM numbers({from:UInt64}, {count:UInt64})
"""
_FACTS: Final = """
INSERT INTO campaign_facts
    (sequence, campaign, type, at, name, pool, batch, planned, batches, queued, raw_bytes, queued_bytes, status)
WITH
    arrayJoin(range({campaigns:UInt32})) AS number,
    arrayJoin(arrayConcat(
        [('campaign_started', 0), ('campaign_planned', 0)],
        if({closed:UInt8} OR number + 1 < {campaigns:UInt32}, [('campaign_closed', 0)], []),
        arrayMap(batch -> ('batch_planned', batch), range(1, {batches:UInt32} + 1)),
        arrayMap(batch -> ('batch_queued', batch), range(1, {batches:UInt32} + 1))
    )) AS fact
SELECT
    {before:UInt64} + rowNumberInAllBlocks() + 1,
    concat({prefix:String}, leftPad(toString(number), 4, '0')),
    fact.1,
    toDateTime64({first_at:Float64} + number * 3600 + if(fact.1 = 'campaign_closed', {hours:UInt32} * 3600, fact.2), 3, 'UTC'),
    concat('Campaign ', toString(number)),
    'main',
    fact.2,
    multiIf(
        fact.1 = 'campaign_planned', {planned:UInt64},
        fact.1 = 'batch_planned', intDiv({planned:UInt64}, {batches:UInt32}),
        0
    ),
    {batches:UInt32},
    if(fact.1 = 'batch_queued', intDiv({planned:UInt64}, {batches:UInt32}), 0),
    10240 * intDiv({planned:UInt64}, {batches:UInt32}),
    200 * intDiv({planned:UInt64}, {batches:UInt32}),
    if(fact.1 = 'campaign_closed', 'finished', '')
"""


class Extent(msgspec.Struct, frozen=True, kw_only=True):
    """How much of one kind of campaigns to make."""

    prefix: str
    campaigns: int
    events: int
    """Of all of them; a multiple of 1,000 times `campaigns`, so that each has the same."""
    before: int
    """The sequence that they begin behind."""
    closed: bool
    """All are; else all but the last."""
    ago_hours: float
    """How long before now the last of them ends."""

    @property
    def first_at(self) -> float:
        return time.time() - (self.ago_hours + HOURS + self.campaigns - 1) * 3_600

    @property
    def planned(self) -> int:
        """Recipients of each: an event in 25 is the second of its mail."""
        return self.events // self.campaigns * 96 // 100


def big(events: int, campaigns: int) -> Extent:
    whole = max(1, events // (1_000 * campaigns)) * 1_000 * campaigns
    return Extent(prefix="big", campaigns=campaigns, events=whole, before=10_000_000, closed=False, ago_hours=0)


def small(campaigns: int) -> Extent:
    return Extent(prefix="small", campaigns=campaigns, events=SMALL * campaigns, before=0, closed=True, ago_hours=48)


def fill(client: Client, extent: Extent, settings: dict[str, Any], tell: Callable[[int], None]) -> None:
    """Raises the driver's errors. `tell` hears how many events there are."""
    first_at = extent.first_at
    made = 0
    for first, count in _chunks(extent.events):
        parameters = {
            "campaigns": extent.campaigns,
            "first_at": first_at,
            "events": extent.events,
            "hours": HOURS,
            "before": extent.before,
            "prefix": extent.prefix,
            "from": first,
            "count": count,
        }
        client.command(f"INSERT INTO events ({_COLUMNS}) {_EVENTS}", parameters=parameters, settings=settings)
        made += count
        tell(made)
    client.command(
        _FACTS,
        parameters={
            "campaigns": extent.campaigns,
            "closed": int(extent.closed),
            "batches": max(1, extent.planned // 50_000),
            "before": extent.before + extent.events,
            "prefix": extent.prefix,
            "first_at": first_at,
            "hours": HOURS,
            "planned": extent.planned,
        },
    )


def _chunks(events: int) -> Iterator[tuple[int, int]]:
    for first in range(0, events, CHUNK):
        yield first, min(CHUNK, events - first)
