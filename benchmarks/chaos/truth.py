"""What is true of a campaign at its end, told by everybody who knows: simulator, EVENTS, API, ClickHouse."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Final

import msgspec

from benchmarks.chaos.campaign import Mailing
from benchmarks.chaos.stage import Stage
from events import facts, streams, subjects
from events.errors import RetryLater
from events.facts import MAIL_FACTS, BatchPlanned, CampaignClosed, EmailInDoubt, Fact, MailFact
from events.ledger import Ledger
from jetpost.cli.state import Fault as NoAnswer
from jetpost.cli.state import fetch_json
from jetpost.simulator import client as simulator

_PAGE: Final = 1_000
_TRIES: Final = 30
"""A web app that was killed is up again within this many seconds."""

_RANK: Final = {"in_doubt": 0, "deferred": 1, "accepted": 3}
"""Of one attempt, what is known decides over a doubt, and accepted over everything; all others: 2."""


class Stated(msgspec.Struct, frozen=True, order=True):
    """An outcome as EVENTS or ClickHouse has it."""

    sequence: int
    mail: str
    attempt: int
    kind: str
    provider: str
    code: int


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    taken: dict[str, int]
    """How often the simulator took each mail of the plan."""
    stated: list[Stated]
    """All outcomes in EVENTS, in order."""
    planned: int
    """As EVENTS has it, batch by batch."""
    closed: bool
    ledger: Ledger
    """As the API has it."""
    in_clickhouse: list[Stated]
    """All outcomes in ClickHouse, in order."""
    by_provider: dict[str, dict[str, int]]
    """The rollup by mailbox provider."""
    failures: int
    """The rollup of attempts that did not end in acceptance."""
    latencies: int
    """Acceptances in the rollup of latencies."""

    def states(self) -> dict[str, str]:
        """The state of each mail: that of its highest attempt."""
        best: dict[str, tuple[int, int, str]] = {}
        for one in self.stated:
            found = (one.attempt, _RANK.get(one.kind, 2), one.kind)
            best[one.mail] = max(best.get(one.mail, found), found)
        return {mail: kind for mail, (_, _, kind) in best.items()}

    def doubted(self) -> set[str]:
        """Mails of which it was ever said that they are in doubt."""
        return {one.mail for one in self.stated if one.kind == "in_doubt"}


async def find(stage: Stage, mailing: Mailing) -> Truth:
    """Raises `NoAnswer` where the API is silent for long."""
    found = await _events(stage, mailing.id)
    report = await _ask(stage, f"/api/campaigns/{mailing.id}/report")
    return Truth(
        taken=await _taken(stage, mailing),
        stated=sorted(_stated(sequence, fact) for sequence, fact in found if isinstance(fact, MAIL_FACTS)),
        planned=sum({fact.batch: fact.planned for _, fact in found if isinstance(fact, BatchPlanned)}.values()),
        closed=any(isinstance(fact, CampaignClosed) for _, fact in found),
        ledger=msgspec.convert(report["figures"]["progress"]["ledger"], Ledger),
        in_clickhouse=await _in_clickhouse(stage, mailing.id),
        by_provider={row["provider"]: row for row in report["providers"]},
        failures=sum(row["count"] for row in report["failures"]),
        latencies=report["figures"]["latency"]["count"],
    )


async def _events(stage: Stage, campaign: str) -> list[tuple[int, Fact]]:
    """All of them with their places, as soon as NATS can tell."""
    for _ in range(_TRIES):
        try:
            events = stage.bus.read(streams.EVENTS.name, subjects.events_of_campaign(campaign))
            return [(record.sequence, facts.decode(record.payload)) async for record in events]
        except RetryLater:
            await asyncio.sleep(1)
    raise TimeoutError("NATS cannot be read")


async def _taken(stage: Stage, mailing: Mailing) -> dict[str, int]:
    stats = await stage.taken()
    return dict(Counter(mail for mail in simulator.accepted_ids(stats) if mail in mailing.mails))


def _stated(sequence: int, fact: MailFact) -> Stated:
    code = 0 if isinstance(fact, EmailInDoubt) else getattr(fact, "code", 0)
    return Stated(sequence, fact.mail_id, fact.attempt, facts.type_of(fact), fact.provider, code)


async def _in_clickhouse(stage: Stage, campaign: str) -> list[Stated]:
    rows: list[Stated] = []
    before = ""
    while True:
        page = await _ask(stage, f"/api/campaigns/{campaign}/events?limit={_PAGE}{before}")
        rows += [
            Stated(row["sequence"], row["mail_id"], row["attempt"], row["type"], row["provider"], row["code"])
            for row in page["events"]
        ]
        if page["before_sequence"] is None:
            return sorted(rows)
        before = f"&before_sequence={page['before_sequence']}"


async def _ask(stage: Stage, path: str) -> Any:  # noqa: ANN401 - a JSON document
    for _ in range(_TRIES):
        try:
            return await fetch_json(stage.stack.web_url + path)
        except NoAnswer:
            await asyncio.sleep(1)
    return await fetch_json(stage.stack.web_url + path)
