"""The three sides of a reconciliation, mail by mail, in the order of mail ids: a part at a time, a part being the mails whose ids
begin with the same letter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec

from analytics.web.models import Standings
from events import plans
from events.bus import Bus
from events.ids import MAIL_ID_LENGTH
from events.recount import Recount, Standing
from events.states import State

Ask: TypeAlias = Callable[[str], Awaitable[Any]]
"""Gets a document of the web app's API. Raises `Fault`."""

Kind: TypeAlias = Literal["unstated", "unplanned", "only_in_events", "only_in_clickhouse", "differs"]

KINDS: Final[Mapping[Kind, str]] = {
    "unstated": "planned, and nothing stated",
    "unplanned": "stated, and never planned",
    "only_in_events": "in EVENTS, and not in ClickHouse",
    "only_in_clickhouse": "in ClickHouse, and not in EVENTS",
    "differs": "in another state in ClickHouse",
}

PAGE: Final = 50_000


class Difference(msgspec.Struct, frozen=True):
    """A recipient of whom not all say the same."""

    kind: Kind
    mail_id: str
    events: str = ""
    """State and attempt; empty: nothing is stated."""
    clickhouse: str = ""


class Plan:
    """Whom the campaign planned; 16 bytes a mail."""

    def __init__(self) -> None:
        self.size = 0
        self.known = True
        """False where the lists are gone."""
        self._parts: dict[str, bytearray] = {}

    @classmethod
    async def read(cls, bus: Bus, campaign: str, batches: int) -> Plan:
        """Raises `RetryLater`."""
        plan = cls()
        try:
            async for mails in plans.read(bus, campaign, batches):
                for mail in mails:
                    plan.add(mail)
        except KeyError:
            plan.known, plan.size, plan._parts = False, 0, {}
        return plan

    def add(self, mail: str) -> None:
        self.size += 1
        self._parts.setdefault(mail[:1], bytearray()).extend(mail.encode("ascii"))

    @property
    def part_names(self) -> list[str]:
        return list(self._parts)

    def part(self, name: str) -> set[str]:
        ids = self._parts.get(name, b"").decode("ascii")
        return {ids[at : at + MAIL_ID_LENGTH] for at in range(0, len(ids), MAIL_ID_LENGTH)}


class ClickHouse:
    """Where ClickHouse has the mails of a campaign, as of an event. Read once, forwards."""

    def __init__(self, ask: Ask, campaign: str, until: int) -> None:
        self._ask = ask
        self._path = f"/api/campaigns/{campaign}/mails?until={until}&limit={PAGE}"
        self._mails = self._read()
        self._ahead: tuple[str, Standing] | None = None

    async def part(self, name: str | None) -> dict[str, Standing]:
        """Those up to and with this part that were not read yet; None: all that are left. Raises `Fault`."""
        found: dict[str, Standing] = {}
        while (one := self._ahead or await anext(self._mails, None)) is not None:
            self._ahead = one
            if name is not None and one[0][:1] > name:
                break
            found[one[0]], self._ahead = one[1], None
        return found

    async def _read(self) -> AsyncIterator[tuple[str, Standing]]:
        after = ""
        while mails := msgspec.convert(await self._ask(f"{self._path}&after={after}"), Standings).mails:
            for mail, attempt, state in mails:
                yield mail, Standing(attempt, msgspec.convert(state, State))
            after = mails[-1][0]


class Comparison:
    """What the sides say; differences are counted, and the first of each kind kept."""

    def __init__(self, told: Recount, plan: Plan, examples: int) -> None:
        self.plan = plan
        self.events: Counter[str] = Counter()
        """Mails by their state in EVENTS."""
        self.clickhouse: Counter[str] = Counter()
        self.differences: dict[Kind, int] = dict.fromkeys(KINDS, 0)
        self.examples: list[Difference] = []
        self._told = told
        self._wanted = examples

    async def run(self, clickhouse: ClickHouse) -> None:
        """Raises `Fault`."""
        for name in sorted({*self._told.part_names, *self.plan.part_names}):
            self.compare(self._told.part(name), await clickhouse.part(name), self.plan.part(name))
        self.compare({}, await clickhouse.part(None), set())

    def compare(self, events: Mapping[str, Standing], clickhouse: Mapping[str, Standing], planned: set[str]) -> None:
        """Compare a part of the mails."""
        self.events.update(one.state for one in events.values())
        self.clickhouse.update(one.state for one in clickhouse.values())
        for mail, one in events.items():
            other = clickhouse.get(mail)
            if other is None:
                self._differ("only_in_events", mail, one)
            elif other != one:
                self._differ("differs", mail, one, other)
        for mail in clickhouse.keys() - events.keys():
            self._differ("only_in_clickhouse", mail, None, clickhouse[mail])
        if self.plan.known:
            for mail in planned - events.keys():
                self._differ("unstated", mail)
            for mail in events.keys() - planned:
                self._differ("unplanned", mail, events[mail])

    def _differ(
        self, kind: Kind, mail: str, events: Standing | None = None, clickhouse: Standing | None = None
    ) -> None:
        self.differences[kind] += 1
        if self.differences[kind] <= self._wanted:
            self.examples.append(Difference(kind, mail, _words(events), _words(clickhouse)))


def _words(standing: Standing | None) -> str:
    return f"{standing.state} (attempt {standing.attempt})" if standing else ""
