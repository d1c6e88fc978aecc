"""Carries out what recipients asked for: leaving a list or all of them, coming back, not being counted. And complaints, and
addresses that turned out to be dead after their mail was accepted.

A wish on EVENTS names a mail, since the door knows nobody's address. Whose mail it was, ClickHouse knows, or else EVENTS; then
the address is suppressed (`events.suppression`), or a preference is written down (`events.preferences`). A wish is acknowledged
when that is stored: whatever dies or is away meanwhile, it comes again, and to carry it out twice is harmless.

A wish about a mail that nobody remembers cannot be carried out. It is tried for a day, in case its mail is stated yet, and then
told to the log: that happens to mails older than `analytics.clickhouse.keep_days`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple, TypeAlias, assert_never

from analytics.clickhouse.client import Store
from analytics.errors import AnalyticsError
from analytics.lifting import lift
from analytics.patience import Patience
from analytics.settings import AnalyticsSettings
from events import complaints, facts, metrics, preferences, stories, streams, suppression
from events.bus import Bus, Consumer, Delivery
from events.complaints import Complaint
from events.errors import RevisionMismatch
from events.facts import EmailComplained, EmailResubscribed, EmailReturned, EmailUnsubscribed, TrackingChanged
from events.patience import Stopped
from events.preferences import Preference
from events.suppression import Entry, ForeignHashes, Hashing, Removal

TOGETHER: Final = 500
FETCH_SECONDS: Final = 1.0
TRIED_FOR_SECONDS: Final = 86_400.0

Wish: TypeAlias = EmailUnsubscribed | EmailResubscribed | EmailComplained | EmailReturned | TrackingChanged
Mail: TypeAlias = tuple[str, str]
"""Campaign and mail id."""

_log = logging.getLogger(__name__)


class _Asked(NamedTuple):
    delivery: Delivery
    wish: Wish

    @property
    def mail(self) -> Mail:
        return self.wish.campaign, self.wish.mail_id


async def run(
    bus: Bus,
    store: Store,
    settings: AnalyticsSettings,
    hashing: Hashing = suppression.PLAIN,
    *,
    clock: Callable[[], float],
    stop: asyncio.Event,
) -> None:
    """Carry out wishes until `stop` is set."""
    patience = Patience("wishes", settings, stop)
    try:
        consumer = await patience.insist(lambda: bus.consumer(streams.WISHES.stream, streams.WISHES.name))
    except Stopped:
        return
    desk = Desk(bus, consumer, store, hashing, clock)
    try:
        while not stop.is_set():
            await patience.insist(desk.carry_out)
    except Stopped:
        _log.warning("stopping without what is held: it stays on the bus")
    finally:
        await consumer.close()


class Desk:
    def __init__(
        self, bus: Bus, consumer: Consumer, store: Store, hashing: Hashing, clock: Callable[[], float]
    ) -> None:
        self._bus = bus
        self._consumer = consumer
        self._store = store
        self._hashing = hashing
        self._clock = clock

    async def carry_out(self) -> None:
        """What has come by now. Raises `RetryLater`; then all of it comes again."""
        deliveries = await self._consumer.fetch(TOGETHER, FETCH_SECONDS)
        if deliveries:
            asked = [_Asked(delivery, wish) for delivery in deliveries if (wish := _wish(delivery)) is not None]
            addresses = await self._addresses(asked)
            known = [each for each in asked if each.mail in addresses]
            await self._carry_out(known, addresses)
            await self._count_complaints(known, addresses)
            lost = [each for each in asked if each.mail not in addresses]
            waiting = {each.delivery.sequence for each in lost if not self._given_up(each)}
            await self._consumer.ack([each for each in deliveries if each.sequence not in waiting])
        state = await self._bus.consumer_state(streams.WISHES.stream, streams.WISHES.name)
        metrics.WISHES_WAITING.set(state.waiting + state.in_flight if state else 0)

    def _given_up(self, asked: _Asked) -> bool:
        if self._clock() - asked.wish.at < TRIED_FOR_SECONDS:
            _log.info("%s of mail %s: whose it was is not known yet", facts.type_of(asked.wish), asked.wish.mail_id)
            return False
        _log.error(
            "%s of mail %s in campaign %s cannot be carried out: nobody remembers whose mail it was. Find out, and use"
            " `jetpost suppression add`",
            *(facts.type_of(asked.wish), asked.wish.mail_id, asked.wish.campaign),
        )
        return True

    async def _carry_out(self, asked: Sequence[_Asked], addresses: dict[Mail, str]) -> None:
        """In the order in which they were said: who unsubscribes and takes it back is not left unsubscribed."""
        entries: list[Entry] = []
        for each in asked:
            wish, address = each.wish, addresses[each.mail]
            match wish:
                case EmailUnsubscribed():
                    entries.append(Entry(address, "unsubscribe", wish.at, _source(wish), _list(wish)))
                case EmailComplained():
                    entries.append(Entry(address, "complaint", wish.at, _source(wish)))
                case EmailReturned():
                    entries.append(Entry(address, suppression.reason_of(wish.suppress), wish.at, _source(wish)))
                case EmailResubscribed():
                    await suppression.suppress(self._bus, entries, self._hashing)
                    entries = []
                    await self._lift(Removal(address, wish.at, _source(wish), _list(wish)))
                case TrackingChanged():
                    await _prefer(self._bus, Preference(address, wish.at, wish.allowed))
                case _:
                    assert_never(wish)
        await suppression.suppress(self._bus, entries, self._hashing)

    async def _count_complaints(self, asked: Sequence[_Asked], addresses: dict[Mail, str]) -> None:
        """Against the lanes that the mails went through, as well as dead addresses that their ESPs found: too many stop a lane,
        or slow a warm-up down."""
        told = [
            Complaint(each.wish.campaign, addresses[each.mail], each.delivery.sequence, _came_back(each.wish))
            for each in asked
            if isinstance(each.wish, EmailComplained) or _came_back(each.wish)
        ]
        await complaints.count(self._bus, told, self._clock())

    async def _lift(self, removal: Removal) -> None:
        try:
            await lift(self._bus, removal, self._hashing)
        except ForeignHashes as error:
            _log.error("somebody subscribed again, which cannot be carried out: %s", error)

    async def _addresses(self, asked: Sequence[_Asked]) -> dict[Mail, str]:
        """Whose mails they were, as far as anybody knows. ClickHouse may be away, or some seconds behind."""
        found = {each.mail: each.wish.recipient for each in asked if each.wish.recipient}
        unknown = {each.mail for each in asked} - found.keys()
        if unknown:
            found |= await self._known_to_clickhouse(unknown)
        for campaign in {campaign for campaign, _ in unknown - found.keys()}:
            found |= await self._known_to_events(campaign, {mail for name, mail in unknown if name == campaign})
        return found

    async def _known_to_clickhouse(self, mails: Collection[Mail]) -> dict[Mail, str]:
        campaigns, ids = map(list, zip(*sorted(mails), strict=True))
        try:
            rows = await self._store.query("recipients", campaigns=campaigns, mails=ids)
        except AnalyticsError as error:
            _log.warning("ClickHouse does not say whose mails these are, so EVENTS is read: %s", error)
            return {}
        return {(campaign, mail): recipient for campaign, mail, recipient in rows if recipient}

    async def _known_to_events(self, campaign: str, mails: Collection[str]) -> dict[Mail, str]:
        told = stories.told(self._bus, campaign, mails)
        return {(campaign, fact.mail_id): fact.recipient async for fact in told if fact.recipient}


def _wish(delivery: Delivery) -> Wish | None:
    """None for what asks for nothing, and for what this release cannot read: the ingester keeps it (`rejected_events`)."""
    try:
        fact = facts.decode(delivery.payload)
    except ValueError:
        _log.exception("a wish cannot be read")
        return None
    if isinstance(fact, EmailReturned) and not fact.suppress:
        return None  # its address may be good
    return fact if isinstance(fact, Wish) else None


def _came_back(wish: Wish) -> bool:
    return isinstance(wish, EmailReturned) and wish.kind == "hard"


def _source(wish: Wish) -> str:
    """Who says so, for whoever wonders why somebody gets no mail."""
    by = "" if isinstance(wish, TrackingChanged) else wish.by
    return f"{by}, campaign {wish.campaign}".removeprefix(", ")


def _list(wish: EmailUnsubscribed | EmailResubscribed) -> str:
    return wish.list if wish.scope == "list" else ""


async def _prefer(bus: Bus, preference: Preference) -> None:
    while True:
        try:
            return await preferences.say(bus, preference)
        except RevisionMismatch:
            _log.debug("somebody else wrote the same preference; looking again")
