"""The circuit breaker: how each lane of a campaign does, which lanes are stopped and why, and how the canary fares.

One document per campaign lies in the bucket `breaker`. Senders add what they counted and judge it (`sender.breaker`), people let
it go on (`resume`). Every change is a pure function, applied by compare-and-set: whoever comes second decides anew.
Times are Unix seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from events import campaigns, documents, facts, providers, streams
from events.bus import Bus, Message
from events.campaigns import CampaignError
from events.facts import BreakerClosed, BreakerOpened

Cause: TypeAlias = Literal["hard_bounces", "blocks", "complaints", "canary"]

EVERY_LANE: Final = ""
"""Stands where a lane's name would: the whole campaign is stopped."""

_OF_THE_LIST: Final = frozenset[Cause]({"hard_bounces", "complaints"})
"""What is wrong with addresses, or with what their owners think of the mails, is wrong whatever pool these go through. A block is
about a pool's reputation, and stops its lane alone."""


class NothingStopped(CampaignError):
    """There is nothing to resume."""


class Opening(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a lane is stopped, or the whole campaign."""

    at: float
    cause: Cause
    bad: int
    """Mails that bounced, were blocked or complained about; of a canary: that went wrong in its worst way."""
    mails: int
    """Among so many."""
    limit: float
    """The share that is allowed."""
    reason: str
    """All of this in a sentence."""
    stated: bool = False
    """The fact `BreakerOpened` is in EVENTS."""


class Slice(msgspec.Struct, frozen=True, array_like=True):
    """Outcomes that came after each other."""

    start: float
    accepted: int = 0
    hard: int = 0
    blocked: int = 0

    @property
    def mails(self) -> int:
        return self.accepted + self.hard + self.blocked


class LaneHealth(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a lane does, since it began or since a person let it go on."""

    slices: tuple[Slice, ...] = ()
    """Of the window, the oldest first."""
    accepted: int = 0
    complaints: int = 0
    """Of all that were accepted: complaints come hours later."""
    opening: Opening | None = None
    """None: it goes on."""
    openings: int = 0
    """How often it was stopped, this time included."""
    returned: int = 0
    """Of all that were accepted: they came back for good, as ESPs tell of what they had taken."""


class Canary(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of the first mails. A mail that was put off counts as tried only, until its retry tells."""

    tried: int = 0
    """First tries with an outcome of whatever kind."""
    accepted: int = 0
    hard: int = 0
    blocked: int = 0
    other: int = 0
    """Given up, expired, or in doubt."""
    lost: int = 0
    """Granted to senders who died: nobody will tell."""
    granted_at: float = 0.0
    """When mails were granted last."""
    passed_at: float | None = None
    """The rest may go; None: not yet."""

    @property
    def known(self) -> int:
        return self.accepted + self.hard + self.blocked + self.other


class Note(msgspec.Struct, frozen=True, array_like=True):
    """What one sender process has told."""

    report: int
    """The number of its newest report that was counted: each counts once."""
    at: float
    grants: int = 0
    """Mails of the canary that it may try and has not stated yet."""


class Health(msgspec.Struct, frozen=True, omit_defaults=True):
    campaign: str
    lanes: dict[str, LaneHealth] = {}
    """By `lane_key`."""
    canary: Canary = Canary()
    opening: Opening | None = None
    """The whole campaign is stopped: its canary did not look well."""
    openings: int = 0
    senders: dict[str, Note] = {}
    complaints_upto: int = 0
    """Complaints are counted up to this sequence of EVENTS."""

    @property
    def granted(self) -> int:
        """Mails of the canary that somebody may try and has not stated."""
        return sum(note.grants for note in self.senders.values())


Change: TypeAlias = Callable[[Health], Health]

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Health).decode


def lane_key(pool: str, provider: str) -> str:
    return f"{pool}.{provider}"


def provider_of(lane: str) -> str:
    return lane.rpartition(".")[2]


def opening_of(health: Health, lane: str) -> Opening | None:
    """Why the lane is stopped; None: it is not."""
    return opening_among(stopped(health), lane)


def opening_among(found: Mapping[str, Opening], lane: str) -> Opening | None:
    """Which of a campaign's openings stops the lane, be it for what mails through another pool told; None: none does."""
    whole_or_own = found.get(EVERY_LANE) or found.get(lane)
    if whole_or_own is not None:
        return whole_or_own
    of_provider = (opening for name, opening in found.items() if provider_of(name) == provider_of(lane))
    return next((opening for opening in of_provider if opening.cause in _OF_THE_LIST), None)


def stopped(health: Health) -> dict[str, Opening]:
    """Everything that is stopped, by lane."""
    found = {lane: state.opening for lane, state in health.lanes.items() if state.opening is not None}
    return found if health.opening is None else {EVERY_LANE: health.opening, **found}


def open_lane(health: Health, lane: str, opening: Opening) -> Health:
    """Stop a lane, or with `EVERY_LANE` the campaign."""
    if lane == EVERY_LANE:
        return msgspec.structs.replace(health, opening=opening, openings=health.openings + 1)
    before = health.lanes.get(lane, LaneHealth())
    return with_lane(health, lane, msgspec.structs.replace(before, opening=opening, openings=before.openings + 1))


def close_lane(health: Health, lane: str, now: float) -> Health:
    """A person lets it go on. What was counted is forgotten: it would stop the lane again at once."""
    if lane != EVERY_LANE:
        state = health.lanes[lane]
        of_list = state.opening is not None and state.opening.cause in _OF_THE_LIST
        same = {name for name in health.lanes if of_list and provider_of(name) == provider_of(lane)}
        return with_lane(_counting_anew(health, same), lane, _as_new(state))
    canary, opening = health.canary, health.opening
    if opening is not None and opening.cause == "canary":
        canary = msgspec.structs.replace(canary, passed_at=now)
    return msgspec.structs.replace(_counting_anew(health, health.lanes), opening=None, canary=canary)


def _counting_anew(health: Health, names: Container[str]) -> Health:
    """Of these lanes those that go on."""
    lanes = {
        name: _as_new(state) if name in names and state.opening is None else state
        for name, state in health.lanes.items()
    }
    return msgspec.structs.replace(health, lanes=lanes)


def _as_new(state: LaneHealth) -> LaneHealth:
    return LaneHealth(openings=state.openings)


def with_lane(health: Health, lane: str, state: LaneHealth) -> Health:
    return msgspec.structs.replace(health, lanes={**health.lanes, lane: state})


def complained(
    health: Health, complaints: Mapping[str, int], upto: int, returned: Mapping[str, int] | None = None
) -> Health:
    """With complaints by lane (`EVERY_LANE`: nobody knows which), and mails that came back, the last of them at sequence `upto`
    of EVENTS: each counts once, as long as they are told in order."""
    if upto <= health.complaints_upto:
        return health
    back = returned or {}
    for lane in {**complaints, **back}:
        state = health.lanes.get(lane, LaneHealth())
        more = {
            "complaints": state.complaints + complaints.get(lane, 0),
            "returned": state.returned + back.get(lane, 0),
        }
        health = with_lane(health, lane, msgspec.structs.replace(state, **more))
    return msgspec.structs.replace(health, complaints_upto=upto)


def stated(health: Health, lane: str) -> Health:
    """The opening of this lane is in EVENTS."""
    opening = health.opening if lane == EVERY_LANE else health.lanes[lane].opening
    if opening is None:
        return health
    told = msgspec.structs.replace(opening, stated=True)
    if lane == EVERY_LANE:
        return msgspec.structs.replace(health, opening=told)
    return with_lane(health, lane, msgspec.structs.replace(health.lanes[lane], opening=told))


def opened_fact(health: Health, lane: str, opening: Opening) -> BreakerOpened:
    pool, _, provider = lane.partition(".")
    return BreakerOpened(
        health.campaign,
        opening.at,
        pool,
        provider,
        _number(health, lane),
        opening.cause,
        opening.bad,
        opening.mails,
        opening.limit,
        opening.reason,
    )


def _number(health: Health, lane: str) -> int:
    return health.openings if lane == EVERY_LANE else health.lanes[lane].openings


async def get(bus: Bus, campaign: str) -> Health:
    """As it is now; of a campaign that nothing is known of: as it begins."""
    entry = await (await bus.bucket(streams.BREAKER)).get(campaign)
    return Health(campaign) if entry is None or entry.deleted else decode(entry.value)


async def all_of(bus: Bus) -> list[Health]:
    """Of every campaign that has not ended. Raises `RetryLater`."""
    entries = await (await bus.bucket(streams.BREAKER)).entries()
    return sorted((decode(entry.value) for entry in entries), key=lambda health: health.campaign)


async def change(bus: Bus, campaign: str, transition: Change) -> Health:
    """Apply it to the newest state, anew whenever somebody else was faster; returns what now holds. Raises `RetryLater`, and
    what the transition raises."""

    def on_document(document: bytes | None) -> bytes | None:
        before = Health(campaign) if document is None else decode(document)
        after = transition(before)
        return document if after == before else encode(after)

    document = await documents.change(await bus.bucket(streams.BREAKER), campaign, on_document)
    return Health(campaign) if document is None else decode(document)


async def forget(bus: Bus, campaign: str) -> None:
    """It is over; what stopped it stays in EVENTS. Harmless where nothing is known. Raises `RetryLater`."""
    bucket = await bus.bucket(streams.BREAKER)
    if await bucket.get(campaign) is not None:
        await bucket.delete(campaign)


async def resume(bus: Bus, campaign: str, provider: str, now: float, by: str) -> dict[str, Opening]:
    """Let what is stopped go on: a provider's lane, or without `provider` everything. Returns what was stopped, by lane.

    States so first: whoever dies in between repeats it. Raises `CampaignNotFound`, `NothingStopped` and `RetryLater`.
    """
    await campaigns.get(bus, campaign)
    health = await get(bus, campaign)
    chosen = _chosen(health, provider)
    closed = [_closed_fact(health, lane, now, by) for lane in chosen]
    messages = [Message(facts.subject_of(fact), facts.encode(fact), facts.id_of(fact)) for fact in closed]
    await bus.publish(streams.EVENTS.name, messages)

    def close(newest: Health) -> Health:
        for lane in chosen:
            if lane in stopped(newest):
                newest = close_lane(newest, lane, now)
        return newest

    await change(bus, campaign, close)
    return chosen


def _chosen(health: Health, provider: str) -> dict[str, Opening]:
    found = stopped(health)
    if not found:
        raise NothingStopped(f"No lane of {health.campaign} is stopped by the circuit breaker.")
    if not provider:
        return found
    if EVERY_LANE in found:
        raise NothingStopped(
            f"The whole campaign {health.campaign} is stopped, as its canary did not look well: resume it without a provider."
        )
    chosen = {lane: opening for lane, opening in found.items() if provider_of(lane) == provider}
    if not chosen:
        raise NothingStopped(f"{health.campaign} has no stopped lane for {provider!r}; stopped: {', '.join(found)}.")
    return chosen


def _closed_fact(health: Health, lane: str, now: float, by: str) -> BreakerClosed:
    pool, _, provider = lane.partition(".")
    return BreakerClosed(health.campaign, now, pool, provider, _number(health, lane), by)


class Stopped(msgspec.Struct, frozen=True):
    """A lane that the circuit breaker stops, for people."""

    campaign: str
    pool: str
    """Empty, as `provider`: the whole campaign."""
    provider: str
    since: float
    cause: Cause
    reason: str
    held: int
    """Mails that are due and wait."""


async def report(bus: Bus) -> list[Stopped]:
    """Everything that is stopped, with the mails that wait for it. Raises `RetryLater`."""
    found = []
    for health in await all_of(bus):
        for lane, opening in stopped(health).items():
            pool, _, provider = lane.partition(".")
            held = await _held(bus, health.campaign, provider)
            found.append(Stopped(health.campaign, pool, provider, opening.at, opening.cause, opening.reason, held))
    return found


async def _held(bus: Bus, campaign: str, provider: str) -> int:
    """Whatever pool they would go through, mails lie in the lane of the campaign's own."""
    pool = (await campaigns.get(bus, campaign)).pool
    names = [streams.lane_name(campaign, pool, name) for name in ([provider] if provider else providers.PROVIDERS)]
    states = [await bus.consumer_state(streams.MAIL.name, name) for name in names]
    return sum(state.waiting + state.in_flight for state in states if state is not None)
