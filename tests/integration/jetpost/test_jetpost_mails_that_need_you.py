"""`jetpost doubts`, `jetpost dlq` and `jetpost retries` on a real nats-server."""

import asyncio
import json
import time
from email import message_from_string

import msgspec
import pytest

from events import campaigns, dead_letters, facts, ids, requeue, retries, schemas, states, streams, subjects
from events.bus import Message
from events.compression import Compressor
from events.dead_letters import DeadLetter
from events.schemas import Attempt, Campaign, Mail

DICTIONARY = b"From: news@example.com\r\nSubject: Hello\r\n\r\nDear reader\r\n"
NOW = time.time()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def jetpost(command):
    return command


@pytest.fixture
async def bus(nats_bus):
    """A finished campaign on a real bus, of which nothing has been given up yet."""
    campaign = Campaign("spring", "Spring", "finished", "main", "b@example.com", NOW, finished_at=NOW, planned=9)
    await (await nats_bus.bucket(streams.CAMPAIGNS)).put("spring", schemas.encode_campaign(campaign))
    await (await nats_bus.blobs()).put("spring/dictionary", DICTIONARY)
    return nats_bus


def mail(name, attempt=1, failure_class="block"):
    body = Compressor(DICTIONARY).compress(DICTIONARY + b"Bye\r\n")
    last = Attempt(attempt, NOW, failure_class, 550, "5.7.1", f"no {name}")
    return Mail(name, f"{name}@example.org", attempt, NOW, body, history=(last,))


async def state(bus, *stated):
    messages = [Message(facts.subject_of(fact), facts.encode(fact), facts.id_of(fact)) for fact in stated]
    await bus.publish("EVENTS", messages)


def about(name, provider="gmail", attempt=1):
    return ("spring", NOW, name, attempt, f"{name}@example.org", "main", provider)


async def given_up(bus, name, provider="gmail", failure_class="block", code=550):
    who = (mail(name, failure_class=failure_class), failure_class, "spam_content", code, "5.7.1", f"no {name}", NOW)
    letter = DeadLetter("spring", "main", provider, *who)
    await bus.publish(
        "DLQ", [Message(dead_letters.subject_of(letter), dead_letters.encode(letter), dead_letters.id_of(letter))]
    )
    if failure_class == "in_doubt":
        await state(bus, facts.EmailInDoubt(*about(name, provider), "a worker died"))
    else:
        await state(bus, facts.EmailFailed(*about(name, provider), failure_class, code, "5.7.1", f"no {name}"))


async def deferred(bus, name, provider="gmail", failure_class="soft", seconds=3_600):
    again = msgspec.structs.replace(mail(name, failure_class=failure_class), attempt=2)
    waiting = subjects.mail_waiting("spring", "main", provider, failure_class, name)
    target = subjects.mail_due("main", provider, "spring")
    message = Message(
        waiting, schemas.encode_mail(again), ids.attempt_id(name, 2), due_at=time.time() + seconds, target=target
    )
    await bus.publish("MAIL", [message])
    await state(bus, facts.EmailDeferred(*about(name, provider), failure_class, 452, "", "full", NOW + seconds))


async def states_now(bus):
    told = [facts.decode(record.payload) async for record in bus.read("EVENTS", subjects.EVENTS)]
    standing = states.standing([fact for fact in told if isinstance(fact, facts.MAIL_FACTS)])
    return {name: states.state_of(fact) for name, fact in standing.items()}


async def due(bus, count):
    """The mails of the gmail lane, once there are that many."""
    await bus.create_consumer(streams.lane("spring", "main", "gmail"))
    lane = await bus.consumer("MAIL", streams.lane_name("spring", "main", "gmail"))
    found = []
    async with asyncio.timeout(10):
        while len(found) < count:
            found += [schemas.decode_mail(one.payload) for one in await lane.fetch(count - len(found), 1)]
    return {one.mail_id: one.attempt for one in found}


def rows(output):
    return [json.loads(line) for line in output.splitlines()]


async def test_the_dlq_is_counted_and_listed_by_what_is_asked(bus, jetpost):
    await given_up(bus, "a")
    await given_up(bus, "b", provider="yahoo")
    await given_up(bus, "c", failure_class="soft", code=452)
    shown = await jetpost("dlq", "list", "spring")
    assert "a@example.org" in shown
    assert "spam_content" in shown
    assert [row["mail_id"] for row in rows(await jetpost("dlq", "list", "--class", "block", "--json"))] == ["a", "b"]
    assert [row["mail_id"] for row in rows(await jetpost("dlq", "list", "--code", "452", "--json"))] == ["c"]
    assert [row["mail_id"] for row in rows(await jetpost("dlq", "list", "--provider", "yahoo", "--json"))] == ["b"]
    assert rows(await jetpost("dlq", "list", "--since", "2020-01-01", "--until", "2020-01-02", "--json")) == []
    assert "Nothing" in await jetpost("dlq", "list", "--recipient", "nobody@example.org")


async def test_a_dead_mail_is_shown_with_its_history_and_as_a_message(bus, jetpost):
    await given_up(bus, "a")
    shown = await jetpost("dlq", "show", "a")
    assert "attempt 1: block  550 5.7.1 no a" in shown
    assert "failed" in shown
    assert message_from_string(await jetpost("dlq", "show", "a", "--raw"))["Subject"] == "Hello"
    (document,) = rows(await jetpost("dlq", "show", "a", "--campaign", "spring", "--json"))
    assert document["history"][0]["code"] == 550


async def test_a_replay_counts_asks_and_puts_back(bus, jetpost):
    await given_up(bus, "a")
    await given_up(bus, "b", provider="yahoo")
    await given_up(bus, "d", failure_class="in_doubt")
    assert "2 mails would be put back" in await jetpost("dlq", "replay", "spring", "--dry-run")
    await jetpost("dlq", "replay", "spring", answer="n\n", code=1)
    assert (await bus.stream_state("DLQ")).messages == 3
    told = await jetpost("dlq", "replay", "spring", "--yes")
    assert "1 mail in doubt left alone" in told
    assert "2 mails are put back" in told
    assert await states_now(bus) == {"a": "requeued", "b": "requeued", "d": "in_doubt"}
    assert await due(bus, 1) == {"a": 2}
    campaign = await campaigns.get(bus, "spring")
    assert (campaign.status, campaign.finished_at) == ("running", None)
    assert "1 mail in doubt" in await jetpost("dlq", "replay", "spring", "--yes")


async def test_a_replay_at_a_rate_waits_and_can_be_taken_back(bus, jetpost):
    for name in "abcd":
        await given_up(bus, name)
    await jetpost("dlq", "replay", "spring", "--limit", "3", "--rate", "0.01", "--yes")
    assert await due(bus, 1) == {"a": 2}
    waiting = rows(await jetpost("retries", "list", "--class", "requeued", "--json"))
    assert [row["mail_id"] for row in waiting] == ["b", "c"]
    assert waiting[1]["due_at"] - waiting[0]["due_at"] == pytest.approx(100, abs=0.1)
    assert "2 mails given up" in await jetpost("retries", "cancel", "--class", "requeued", "--yes")
    assert await states_now(bus) == {"a": "requeued"} | dict.fromkeys("bcd", "failed")
    assert [row["mail_id"] for row in rows(await jetpost("dlq", "list", "--json"))] == ["d", "b", "c"]
    assert "3 mails are put back" in await jetpost("dlq", "replay", "spring", "--yes")
    assert await due(bus, 3) == {"b": 3, "c": 3, "d": 2}


async def test_an_interrupted_replay_is_finished_by_the_next(bus, jetpost):
    await given_up(bus, "a")
    (letter,) = [letter async for letter in dead_letters.read(bus, subjects.DLQ)]
    killed = KilledAtTheEnd(bus)
    with pytest.raises(asyncio.CancelledError):
        await put_back(killed, [letter])
    assert "replay was interrupted" in await jetpost("retries", "list")
    assert "1 mail of an interrupted replay" in await jetpost("dlq", "replay")
    assert await due(bus, 1) == {"a": 2}


class KilledAtTheEnd:
    """A bus whose user dies when it has deleted the dead letter."""

    def __init__(self, bus):
        self._bus = bus

    def __getattr__(self, name):
        return getattr(self._bus, name)

    async def delete(self, stream, sequences):
        await self._bus.delete(stream, sequences)
        raise asyncio.CancelledError


async def put_back(bus, letters):
    return await requeue.put_back(bus, "spring", letters, requeue.Pace(time.time))


async def test_a_mail_of_a_cancelled_campaign_is_not_put_back(bus, jetpost):
    await given_up(bus, "a")
    await campaigns.change(bus, "spring", lambda one: msgspec.structs.replace(one, status="cancelled"))
    assert "left alone. The campaign is cancelled" in await jetpost("dlq", "replay", "--yes")
    assert (await bus.stream_state("DLQ")).messages == 1


async def test_doubts_are_listed_and_resolved(bus, jetpost):
    for name in "abc":
        await given_up(bus, name, failure_class="in_doubt")
    assert [row["kept"] for row in rows(await jetpost("doubts", "list", "spring", "--json"))] == ["dlq"] * 3
    assert "3 mails in doubt" in await jetpost("doubts", "list")
    await jetpost("doubts", "accept", "spring", "--recipient", "a@example.org", "--note", "in the log", "--yes")
    await jetpost("doubts", "not-sent", "spring", "--mail-id", "b", "--yes")
    assert "1 mail on their way" in await jetpost("doubts", "resend", "--all", "--yes")
    assert await states_now(bus) == {"a": "accepted", "b": "failed", "c": "requeued"}
    assert await due(bus, 1) == {"c": 2}
    assert "No mail is in doubt" in await jetpost("doubts", "list")
    assert [row["mail_id"] for row in rows(await jetpost("dlq", "list", "--json"))] == ["b"]


async def test_nothing_is_done_to_all_doubts_by_accident(bus, jetpost):
    await given_up(bus, "a", failure_class="in_doubt")
    for verb in ("resend", "accept", "not-sent"):
        await jetpost("doubts", verb, "spring", code=1)
    assert await states_now(bus) == {"a": "in_doubt"}


async def test_retries_are_listed_and_hurried(bus, jetpost):
    await deferred(bus, "late", seconds=7_200)
    await deferred(bus, "soon", seconds=600)
    await deferred(bus, "other", provider="yahoo", failure_class="transient")
    assert [row["mail_id"] for row in rows(await jetpost("retries", "list", "--json"))] == ["soon", "other", "late"]
    assert "no soon" in await jetpost("retries", "list", "--provider", "gmail")
    assert "2 mails would be due" in await jetpost("retries", "now", "--class", "soft", "--dry-run")
    assert "2 mails are due now" in await jetpost("retries", "now", "--class", "soft")
    assert await due(bus, 2) == {"soon": 2, "late": 2}
    assert [one.mail.mail_id async for one in retries.read(bus)] == ["other"]
    assert "0 mails" in await jetpost("retries", "now", "--class", "soft")


async def test_cancelled_retries_are_given_up(bus, jetpost):
    await deferred(bus, "a")
    await deferred(bus, "b")
    assert "1 mail would be given up" in await jetpost("retries", "cancel", "--limit", "1", "--dry-run")
    assert "2 mails given up" in await jetpost("retries", "cancel", "--campaign", "spring", "--yes")
    assert await states_now(bus) == {"a": "failed", "b": "failed"}
    assert "retry_cancelled" in await jetpost("dlq", "list")
    assert "No retry waits" in await jetpost("retries", "list")
