"""A web app with something to see: campaigns in every state over `MemoryBus`, and reports that play them second by second.

python tests/web_samples.py --port 8090      then look at http://localhost:8090
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import time
from collections.abc import Callable
from functools import cache
from itertools import accumulate, islice
from typing import Any

import msgspec

from analytics.engagement import Engagement, Link
from analytics.errors import ClickHouseUnavailable
from analytics.reports import (
    CampaignSummary,
    Counted,
    EventFilter,
    EventRow,
    FailureRow,
    FirstAttempts,
    Latency,
    LatencyBucket,
    LatencyPoint,
    ProviderRow,
    RatePoint,
    Sizes,
)
from analytics.web import server
from analytics.web.settings import WebSettings
from events import ids, providers, schemas, streams, subjects
from events.bus import Message
from events.ledger import Ledger
from events.memory_bus import MemoryBus
from events.schemas import Campaign, Tracking

RETRY_AFTER_STEPS = 24
SHARES = {"gmail": 0.41, "microsoft": 0.22, "yahoo": 0.13, "apple": 0.09, "other": 0.15}
REPLIES = (
    ("deferred", "transient", 451, "4.7.1", "Greylisting in action, please come back later", 0.42),
    (
        "deferred",
        "throttled",
        421,
        "4.7.28",
        "Our system has detected an unusual rate of mail; try again in <n> seconds",
        0.21,
    ),
    ("bounced", "hard", 550, "5.1.1", "The email account that you tried to reach does not exist", 0.19),
    ("deferred", "soft", 452, "4.2.2", "The recipient's inbox is out of storage space", 0.09),
    ("bounced", "hard", 550, "5.1.2", "Domain not found", 0.04),
    ("failed", "block", 550, "5.7.1", "Message blocked due to the reputation of the sending IP", 0.03),
    ("suppressed", "", 0, "", "on the suppression list", 0.02),
)


class Play:
    """One campaign, second by second."""

    def __init__(self, campaign: Campaign, recipients: int, rate: int, now_after: int, seed: int) -> None:
        self.campaign = campaign
        self.recipients = recipients
        self.elapsed_at_start = now_after
        self._steps = _play(seed, recipients, rate)
        self._sums = {name: [0, *accumulate(step[name] for step in self._steps)] for name in self._steps[0]}

    @property
    def length(self) -> int:
        return len(self._steps)

    def until(self, name: str, seconds: float) -> int:
        sums = self._sums[name]
        whole = min(int(max(seconds, 0)), len(sums) - 1)
        following = sums[min(whole + 1, len(sums) - 1)]
        return sums[whole] + int((following - sums[whole]) * min(1.0, max(seconds, 0) - whole))


@cache
def _play(seed: int, recipients: int, rate: int) -> list[dict[str, int]]:
    dice = random.Random(seed)
    steps: list[dict[str, int]] = []
    remaining, wobble, due = recipients, 1.0, [0] * 10_000
    while remaining or any(due[len(steps) : len(steps) + 200]):
        at = len(steps)
        wobble += (1 - wobble) * 0.15 + dice.gauss(0, 0.035) - (0.28 if dice.random() < 0.015 else 0)
        first = min(remaining, int(rate * wobble * min(1.0, (at + 1.5) / 7)))
        remaining -= first
        retried = due[at]
        deferred = int(first * dice.uniform(0.028, 0.05)) + int(retried * 0.12)
        bounced = int(first * dice.uniform(0.010, 0.014))
        failed = min(int(retried * 0.03) + int(first * 0.0012), retried + first - deferred - bounced)
        doubt = 3 if at == 41 and first > 100 else 0
        due[at + RETRY_AFTER_STEPS] += deferred
        settled = deferred + bounced + failed + doubt
        steps.append(
            {
                "first": first,
                "accepted": max(0, first + retried - settled),
                "deferred": deferred,
                "bounced": min(bounced, first),
                "failed": failed,
                "in_doubt": doubt,
                "retried": retried,
            }
        )
    return steps


class SampleReports:
    """Implements `analytics.web.sources.Reports`. `unavailable = True` makes it raise as if ClickHouse were gone."""

    def __init__(self, plays: list[Play], clock: Callable[[], float]) -> None:
        self.plays = {play.campaign.id: play for play in plays}
        self.unavailable = False
        self._clock = clock

    def _play(self, campaign: str) -> Play:
        if self.unavailable:
            raise ClickHouseUnavailable("ClickHouse does not answer at http://localhost:8123")
        return self.plays[campaign]

    def _elapsed(self, play: Play) -> float:
        if play.campaign.status in ("paused", "cancelled"):
            return play.elapsed_at_start
        return self._clock() - play.campaign.created_at

    def ledger(self, campaign: str) -> Ledger:
        play = self._play(campaign)
        elapsed = self._elapsed(play)
        count = {
            name: play.until(name, elapsed)
            for name in ("accepted", "bounced", "failed", "in_doubt", "deferred", "retried")
        }
        planned = play.recipients
        if play.campaign.status == "planning":
            planned = min(planned, (play.until("first", elapsed) // 50_000 + 3) * 50_000)
        settled = count["accepted"] + count["bounced"] + count["failed"] + count["in_doubt"]
        retrying = max(0, count["deferred"] - count["retried"])
        rest = planned - settled - retrying
        suppressed = max(0, min(rest, int(planned * 0.0011)))
        rest -= suppressed
        cancelled = play.campaign.status == "cancelled"
        return Ledger(
            planned=planned,
            accepted=count["accepted"],
            bounced=count["bounced"],
            failed=count["failed"],
            in_doubt=count["in_doubt"],
            suppressed=suppressed,
            cancelled=rest + retrying if cancelled else 0,
            retrying=0 if cancelled else retrying,
            queued=0 if cancelled else rest,
        )

    async def overview(self, newest: int, also: str) -> list[CampaignSummary]:
        if self.unavailable:
            raise ClickHouseUnavailable("ClickHouse does not answer at http://localhost:8123")
        return [self._summary(play) for play in self.plays.values()]

    def _summary(self, play: Play) -> CampaignSummary:
        elapsed = self._elapsed(play)
        moving = play.campaign.status in ("running", "planning")
        recent = sum(play.until(name, elapsed) - play.until(name, elapsed - 10) for name in ("first", "retried"))
        ledger = self.ledger(play.campaign.id)
        return CampaignSummary(
            campaign=play.campaign.id,
            name=play.campaign.name,
            pool=play.campaign.pool,
            status="running" if play.campaign.status == "paused" else play.campaign.status,
            started_at=play.campaign.created_at,
            finished_at=play.campaign.finished_at,
            duplicates=play.campaign.duplicates,
            rejected=play.campaign.rejected,
            batches_planned=-(-ledger.planned // 50_000),
            batches_queued=min(-(-ledger.planned // 50_000), int(play.until("first", elapsed + 4) / 50_000) + 1),
            rate=recent / 10 if moving else 0.0,
            ledger=ledger,
        )

    async def rate(self, campaign: str | None, since: float, step_seconds: int) -> list[RatePoint]:
        assert campaign is not None
        play = self._play(campaign)
        begin = int(since) // step_seconds * step_seconds
        offset = begin - play.campaign.created_at
        elapsed = min(self._clock() - play.campaign.created_at, play.length + step_seconds)
        if play.campaign.status == "paused":
            elapsed = self._clock() - play.campaign.created_at
        shown, points = self._elapsed(play), []
        for start in range(0, max(0, int(elapsed - offset)), step_seconds):
            low, high = start + offset, start + offset + step_seconds
            counts = (
                play.until(name, min(high, shown)) - play.until(name, min(low, shown))
                for name in ("accepted", "deferred", "bounced", "failed", "in_doubt")
            )
            points.append(RatePoint(float(begin + start), *counts))
        return points

    async def latency(self, campaign: str) -> Latency:
        play = self._play(campaign)
        accepted = play.until("accepted", self._elapsed(play))
        shape = (0.01, 0.06, 0.19, 0.31, 0.24, 0.11, 0.045, 0.02, 0.01, 0.005)
        buckets = [LatencyBucket(2.0 ** (n - 4), int(accepted * share)) for n, share in enumerate(shape)]
        return Latency(accepted, 0.58, 14.6, 29.3, buckets) if accepted else Latency(0, 0, 0, 0, [])

    async def latency_over_time(self, campaign: str, step_seconds: int) -> list[LatencyPoint]:
        play = self._play(campaign)
        dice = random.Random(campaign)
        steps = range(0, int(min(self._elapsed(play), play.length)), step_seconds)
        start = int(play.campaign.created_at) // step_seconds * step_seconds
        return [
            LatencyPoint(
                float(start + at), 1000, 0.5 + dice.gauss(0.1, 0.04), 2 + 12 * min(1, at / 30) + dice.gauss(0, 0.7)
            )
            for at in steps
        ]

    async def providers(self, campaign: str) -> list[ProviderRow]:
        play = self._play(campaign)
        elapsed = self._elapsed(play)
        rows = []
        for provider, share in sorted(SHARES.items()):
            worse = {"microsoft": 2.1, "yahoo": 1.5}.get(provider, 0.6)
            counts = [play.until(name, elapsed) * share for name in ("accepted", "deferred", "bounced", "failed")]
            accepted, deferred, bounced, failed = counts
            rows.append(
                ProviderRow(
                    provider,
                    int(accepted),
                    int(deferred * worse),
                    int(bounced),
                    int(failed * worse),
                    1 if provider == "other" and play.until("in_doubt", elapsed) else 0,
                    0.4 + share / 2,
                    9.0 * worse,
                )
            )
        return rows if play.until("accepted", elapsed) else []

    async def failures(self, campaign: str, limit: int) -> list[FailureRow]:
        play = self._play(campaign)
        elapsed = self._elapsed(play)
        total = sum(play.until(name, elapsed) for name in ("deferred", "bounced", "failed"))
        rows = [FailureRow(*words, int(total * share)) for *words, share in REPLIES]
        return [row for row in rows if row.count][:limit]

    async def standings(self, campaign: str, *, after: str, until: int, limit: int) -> list[tuple[str, int, str]]:
        mails = [(f"mail{number:03}", 1, "accepted") for number in range(20)]
        return [mail for mail in mails if mail[0] > after][:limit]

    async def counted(self, campaign: str, until: int) -> Counted:
        return Counted(20, 0, False, Ledger(planned=20, accepted=20), until)

    async def doubts(self, campaign: str, limit: int) -> list[EventRow]:
        play = self._play(campaign)
        count = min(limit, play.until("in_doubt", self._elapsed(play)))
        rows = [self._event(play, 1_000 + number) for number in range(count)]
        in_doubt = {"type": "in_doubt", "code": 0, "enhanced": "", "reply": "a worker died", "failure_class": ""}
        return [msgspec.structs.replace(row, **in_doubt) for row in rows]

    async def sizes(self, campaign: str) -> Sizes:
        play = self._play(campaign)
        mails = min(play.recipients, play.until("first", self._elapsed(play) + 4))
        return Sizes(mails, mails * 10_642, mails * 91, 10_642 / 91) if mails else Sizes(0, 0, 0, 0.0)

    async def first_attempts(self, campaign: str) -> FirstAttempts:
        play = self._play(campaign)
        elapsed = self._elapsed(play)
        count = play.until("first", elapsed)
        start = play.campaign.created_at
        busy = next((n for n in range(play.length) if play.until("first", n) == count), elapsed)
        return FirstAttempts(count, start, start + busy) if count else FirstAttempts(0, None, None)

    async def engagement(self, campaign: str) -> Engagement:
        play = self._play(campaign)
        accepted = play.until("accepted", self._elapsed(play))
        opened = int(accepted * 0.31) if play.campaign.tracking.opens else 0
        urls = ("https://shop.example/spring?from=mail", "https://shop.example/", "https://shop.example/jobs")
        shares = (0.021, 0.011, 0.002) if play.campaign.tracking.clicks else ()
        links = [
            Link(number, url, int(accepted * share * 1.6), int(accepted * share * 0.4), int(accepted * share))
            for number, (url, share) in enumerate(zip(urls, shares, strict=False), 1)
        ]
        return Engagement(
            opens=int(opened * 2.4),
            machine_opens=int(opened * 0.9),
            unique_opens=opened,
            clicks=sum(link.clicks for link in links),
            machine_clicks=sum(link.machine_clicks for link in links),
            unique_clicks=int(sum(link.unique_clicks for link in links) * 0.9),
            unsubscribed=int(accepted * 0.0013),
            complained=int(accepted * 0.0002),
            links=links,
        )

    async def events(self, wanted: EventFilter, limit: int) -> list[EventRow]:
        play = self._play(wanted.campaign)
        newest = play.until("first", self._elapsed(play)) // 997
        rows = (self._event(play, number) for number in range(newest, 0, -1))
        return list(islice((row for row in rows if _matches(row, wanted)), limit))

    def _event(self, play: Play, number: int) -> EventRow:
        dice = random.Random(f"{play.campaign.id}{number}")
        name = dice.choice(("ada", "grace", "edsger", "barbara", "donald", "radia", "leslie", "frances"))
        provider = dice.choices(list(SHARES), SHARES.values())[0]
        domain = {"gmail": "gmail.com", "microsoft": "outlook.com", "yahoo": "yahoo.com", "apple": "icloud.com"}
        recipient = f"{name}.{dice.randrange(100, 999)}@{domain.get(provider, 'example.org')}"
        lucky = dice.random() < 0.75
        outcome, failure, code, enhanced, reply, _ = (
            ("accepted", "", 250, "2.0.0", "OK queued", 0) if lucky else dice.choice(REPLIES[:5])
        )
        at = play.campaign.created_at + next(
            (n for n in range(play.length) if play.until("first", n) >= number * 997), play.length
        )
        return EventRow(
            sequence=number,
            at=min(at, self._clock()),
            campaign=play.campaign.id,
            type=outcome,
            mail_id=ids.mail_id(play.campaign.id, recipient),
            attempt=1,
            recipient=recipient,
            pool=play.campaign.pool,
            provider=provider,
            failure_class=failure,
            code=code,
            enhanced=enhanced,
            reply=reply,
            latency_seconds=dice.uniform(0.2, 1.4) if lucky else 0.0,
            retry_at=at + 30 if outcome == "deferred" else None,
        )


def _matches(row: EventRow, wanted: EventFilter) -> bool:
    return (
        (not wanted.types or row.type in wanted.types)
        and (not wanted.provider or row.provider == wanted.provider)
        and (wanted.before_sequence is None or row.sequence < wanted.before_sequence)
        and row.sequence > wanted.after_sequence
    )


def _campaign(name: str, subject: str, status: schemas.CampaignStatus, created_at: float, **more: Any) -> Campaign:
    return Campaign(
        id=name.split(",", maxsplit=1)[0].lower().replace(" ", "-"),
        name=name,
        subject=subject,
        status=status,
        created_at=created_at,
        pool="relay",
        return_path="bounces@news.example.com",
        from_header="Northwind <news@northwind.example>",
        tracking=Tracking(opens=True, clicks=True),
        **more,
    )


def _finished(play: Play) -> Play:
    begun = play.campaign.created_at
    play.campaign = msgspec.structs.replace(play.campaign, status="finished", finished_at=begun + play.length)
    return play


def sample_plays(now: float) -> list[Play]:
    """A campaign in every state, as of `now`, the newest first."""
    day = 86_400.0
    early = _campaign("Early access", "Doors open an hour early for members", "planning", now - 9)
    spring = _campaign(
        "Spring launch",
        "Lighter, faster, yours from Tuesday",
        "running",
        now - 141,
        planned=2_000_000,
        batches=40,
        duplicates=1_204,
        rejected=86,
    )
    quiet = _campaign(
        "Win-back, 90 days quiet",
        "We kept your seat",
        "paused",
        now - 3_100,
        planned=320_000,
        batches=7,
        resume_to="running",
    )
    october = _campaign(
        "October news", "What is new in October", "running", now - 2 * day, planned=184_220, batches=4, duplicates=312
    )
    invoice = _campaign(
        "Invoice reminder", "Your invoice is ready", "running", now - 5 * day, planned=20_000, batches=1
    )
    beta = _campaign(
        "Beta invitation",
        "You are in",
        "cancelled",
        now - 7 * day,
        planned=60_000,
        batches=2,
        finished_at=now - 7 * day + 30,
    )
    return [
        Play(early, 750_000, 4_800, 9, 2),
        Play(spring, 2_000_000, 9_300, 141, 1),
        Play(quiet, 320_000, 5_200, 31, 3),
        _finished(Play(october, 184_220, 8_900, 60, 4)),
        _finished(Play(invoice, 20_000, 2_700, 60, 5)),
        Play(beta, 60_000, 4_000, 9, 6),
    ]


async def sample_bus(plays: list[Play], clock: Callable[[], float]) -> MemoryBus:
    bus = MemoryBus(clock)
    await bus.setup()
    bucket = await bus.bucket(streams.CAMPAIGNS)
    for play in plays:
        await bucket.put(play.campaign.id, schemas.encode_campaign(play.campaign))
        if play.campaign.finished_at is None:
            for number, spec in enumerate(streams.lanes(play.campaign.id, play.campaign.pool)):
                await bus.create_consumer(spec)
                subject = subjects.mail_due(play.campaign.pool, providers.PROVIDERS[number], play.campaign.id)
                await bus.publish("MAIL", [Message(subject, b"") for _ in range(40 - 7 * number)])
    return bus


async def _serve(port: int, empty: bool) -> None:
    plays = [] if empty else sample_plays(time.time())
    bus = await sample_bus(plays, time.time)
    reports = SampleReports(plays, time.time)
    settings = WebSettings(port=port)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, lambda: setattr(reports, "unavailable", not reports.unavailable))
    listener = server.listen(settings)
    print(server.address_of(listener, settings), flush=True)  # noqa: T201 - what the person who runs it needs
    await server.run(bus, reports, settings, clock=time.time, listener=listener, stop=stop)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, default=8090)
    options.add_argument("--empty", action="store_true")
    given = options.parse_args()
    asyncio.run(_serve(given.port, given.empty))
