"""Holds EVENTS, ClickHouse and the plan against each other, recipient by recipient. `jetpost reconcile`.

Each is counted by itself: EVENTS from its messages, ClickHouse by its own queries, the plan from the splitter's lists. All is as
of one event, the newest when the counting begins: so it works while a campaign runs, too. Memory holds about 50 bytes a mail
and, of a thirtieth of the mails at a time, their states: 700 MB for ten million.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from analytics import ledgers, progress
from analytics.reports import Counted
from events import campaigns, recount, streams
from events.bus import Bus
from events.ledger import Ledger
from events.recount import Recount
from events.schemas import Campaign
from jetpost.comparison import Ask, ClickHouse, Comparison, Difference, Kind, Plan
from jetpost.errors import Fault

LOOK_SECONDS: Final = 0.2
STUCK_SECONDS: Final = 60.0
"""An ingester that comes no nearer for this long does not run, or ClickHouse is away."""


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """What all three say of a campaign, and where they differ."""

    campaign: str
    status: str
    until_sequence: int
    """Everything is as of this event."""
    agree: bool
    events: Ledger
    clickhouse: Ledger
    rollups: Ledger | None
    """None where more was counted meanwhile, as happens while a campaign runs."""
    planned: int | None
    """Recipients on the lists of the plan; None where these are gone, as when they are older than EVENTS goes back."""
    stated: int
    """Mails that EVENTS tells of."""
    counted: int
    """Mails that ClickHouse tells of."""
    problems: list[str]
    """What is wrong, in words."""
    differences: dict[Kind, int]
    """How many recipients, by kind. While a campaign runs nothing is stated yet of those that are queued: no difference."""
    examples: list[Difference]


async def reconcile(
    bus: Bus, campaign_id: str, ask: Ask, *, examples: int, on_progress: Callable[[str], None]
) -> Reconciliation:
    """Raises `Fault` where one of the three cannot be counted, `CampaignNotFound` and `RetryLater`."""
    campaign = await campaigns.get(bus, campaign_id)
    on_progress("reading EVENTS")
    told = await recount.of_campaign(bus, campaign_id)
    if not told.is_complete:
        raise Fault(
            f"EVENTS no longer has the whole campaign: it keeps {streams.EVENTS.max_age_seconds / 86_400:.0f} days"
        )
    plan = await Plan.read(bus, campaign_id, told.batches)
    await _until_ingested(bus, told.last_sequence, on_progress)
    on_progress("comparing with ClickHouse")
    counted = msgspec.convert(await ask(f"/api/campaigns/{campaign_id}/counted?until={told.last_sequence}"), Counted)
    compared = Comparison(told, plan, examples)
    await compared.run(ClickHouse(ask, campaign_id, told.last_sequence))
    return conclude(campaign, told, counted, compared)


async def _until_ingested(bus: Bus, sequence: int, on_progress: Callable[[str], None]) -> None:
    book = progress.Book(await bus.bucket(streams.INGEST))
    loop = asyncio.get_running_loop()
    nearest, moved_at = -1, loop.time()
    while (ingested := (await book.read()).ingested) < sequence:
        if ingested != nearest:
            nearest, moved_at = ingested, loop.time()
        if loop.time() - moved_at > STUCK_SECONDS:
            raise Fault(
                f"ClickHouse is {sequence - ingested:,} events behind and comes no nearer: "
                "does the ingester run, and does ClickHouse answer?"
            )
        on_progress(f"waiting for the ingester, which is {sequence - ingested:,} events behind")
        await asyncio.sleep(LOOK_SECONDS)


def conclude(campaign: Campaign, told: Recount, counted: Counted, compared: Comparison) -> Reconciliation:
    """What follows from the counts. Pure."""
    closed = told.closed
    plan = ledgers.Plan(told.planned, told.cancelled, closed is not None)
    events = ledgers.from_states(plan, compared.events)
    clickhouse = ledgers.from_states(
        ledgers.Plan(counted.planned, counted.cancelled, counted.closed), compared.clickhouse
    )
    rollups = counted.rollups if counted.rolled_up_to <= told.last_sequence else None
    differences = compared.differences
    if closed is None or closed.status == "cancelled":
        differences = {kind: number for kind, number in differences.items() if kind != "unstated"}
    problems = [*_wrong(campaign, events, compared.plan), *_differing(events, clickhouse, rollups)]
    return Reconciliation(
        campaign=campaign.id,
        status=campaign.status,
        until_sequence=told.last_sequence,
        agree=not problems and not any(differences.values()),
        events=events,
        clickhouse=clickhouse,
        rollups=rollups,
        planned=compared.plan.size if compared.plan.known else None,
        stated=sum(compared.events.values()),
        counted=sum(compared.clickhouse.values()),
        problems=problems,
        differences=differences,
        examples=[example for example in compared.examples if example.kind in differences],
    )


def _wrong(campaign: Campaign, ledger: Ledger, plan: Plan) -> list[str]:
    found = []
    if campaign.planned is not None and campaign.planned != ledger.planned:
        found.append(f"the campaign says that {campaign.planned:,} were planned, EVENTS says {ledger.planned:,}")
    if plan.known and plan.size != ledger.planned:
        found.append(f"the plan lists {plan.size:,} recipients, EVENTS says that {ledger.planned:,} were planned")
    if ledger.queued < 0:
        found.append(f"{-ledger.queued:,} more mails have an outcome than were planned")
    if campaign.finished_at is not None and not ledger.balanced:
        found.append(f"the campaign is {campaign.status} and its ledger does not balance")
    return found


def _differing(events: Ledger, clickhouse: Ledger, rollups: Ledger | None) -> list[str]:
    found = []
    if clickhouse != events:
        found.append("ClickHouse, mail by mail, has another ledger than EVENTS")
    if rollups is not None and rollups != events:
        found.append("ClickHouse's rollups have another ledger than EVENTS")
    return found
