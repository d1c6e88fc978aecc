"""What every bus promises (events/bus.py), over each implementation. A new one starts by passing this."""

import asyncio
import time
from contextlib import aclosing

import pytest

from events import advisories, streams, subjects
from events.advisories import MaxDeliveries
from events.bus import Entry, Message, Stored
from events.errors import RetryLater, RevisionMismatch, StreamMissing
from events.memory_bus import MemoryBus
from events.nats_bus import BusSettings, NatsBus

DUE = subjects.mail_due("pool", "gmail", "spring")
SHORT_ACK_WAIT_SECONDS = 0.2
WAIT_SECONDS = 10
"""How long a test waits for what must come."""


def waiting(mail):
    return subjects.mail_waiting("spring", "pool", "gmail", "soft", mail)


def mails(count, start=0):
    return [Message(DUE, b"mail %d" % n, f"m{n}/1") for n in range(start, start + count)]


async def open_lane(bus, **options):
    """A consumer of the mails due for gmail, with a short ack-wait."""
    options = {"ack_wait_seconds": SHORT_ACK_WAIT_SECONDS} | options
    spec = streams.ConsumerSpec(stream="MAIL", name="lane", filter_subject=DUE, **options)
    await bus.create_consumer(spec)
    return await bus.consumer("MAIL", "lane")


async def fetch_all(consumer, count):
    """Fetch until `count` messages came."""
    fetched = []
    async with asyncio.timeout(WAIT_SECONDS):
        while len(fetched) < count:
            fetched += await consumer.fetch(count - len(fetched), 1)
    return fetched


async def read_all(bus, stream, filter_subject=">", **options):
    return [record async for record in bus.read(stream, filter_subject, **options)]


async def test_nothing_is_lacking_once_it_is_set_up(bus):
    assert await bus.lacking() == []


async def test_all_is_lacking_before(clock):
    assert set(await MemoryBus(clock).lacking()) == {stream.name for stream in streams.STREAMS} | {
        *streams.BUCKETS,
        *streams.STORES,
    }


class TestPublishing:
    @pytest.fixture(
        params=["memory_bus_in_real_time", "nats_bus", "nats_bus_in_batches"], ids=["memory", "nats", "nats in batches"]
    )
    def bus(self, request):
        return request.getfixturevalue(request.param)

    async def test_messages_are_stored_in_order_with_an_answer_each(self, bus):
        stored = await bus.publish("MAIL", mails(3))
        assert stored == [Stored(1, False), Stored(2, False), Stored(3, False)]
        assert [record.payload for record in await read_all(bus, "MAIL")] == [b"mail 0", b"mail 1", b"mail 2"]

    async def test_what_is_stored_takes_room_until_it_is_purged(self, bus):
        empty = await bus.storage()
        await bus.publish("MAIL", mails(100))
        assert (await bus.storage()).used >= empty.used + 100 * len(b"mail 0")
        await bus.purge("MAIL", DUE)
        assert (await bus.storage()).used == empty.used

    async def test_a_purge_may_end_at_a_place_in_the_stream(self, bus):
        await bus.publish("MAIL", mails(5))
        assert await bus.purge("MAIL", ">", up_to=0) == 0
        assert await bus.purge("MAIL", ">", up_to=3) == 3
        state = await bus.stream_state("MAIL")
        assert (state.messages, state.first_sequence, state.last_sequence) == (2, 4, 5)
        assert await bus.purge("MAIL", ">", up_to=3) == 0

    async def test_nothing_to_publish_is_nothing_stored(self, bus):
        assert await bus.publish("MAIL", []) == []

    async def test_an_id_that_is_known_is_a_duplicate_and_stores_nothing(self, bus):
        await bus.publish("CLAIMS", [Message("claims", b"", "a/1")])
        (again,) = await bus.publish("CLAIMS", [Message("claims", b"", "a/1")])
        assert again.duplicate
        assert (await bus.stream_state("CLAIMS")).messages == 1

    async def test_without_an_id_every_publish_stores_anew(self, bus):
        stored = await bus.publish("MAIL", [Message(DUE, b"same"), Message(DUE, b"same")])
        assert [answer.duplicate for answer in stored] == [False, False]

    @pytest.mark.parametrize("count", [1, 500, 501, 1_203])
    async def test_any_number_of_messages_can_be_published_at_once(self, bus, count):
        stored = await bus.publish("MAIL", mails(count))
        assert [answer.sequence for answer in stored] == list(range(1, count + 1))
        assert (await bus.stream_state("MAIL")).messages == count

    async def test_one_duplicate_among_many_is_told_apart(self, bus):
        await bus.publish("MAIL", mails(1, start=700))
        stored = await bus.publish("MAIL", mails(1_000))
        assert [n for n, answer in enumerate(stored) if answer.duplicate] == [700]
        assert (await bus.stream_state("MAIL")).messages == 1_000

    async def test_an_id_that_comes_twice_in_one_call_is_a_duplicate_the_second_time(self, bus):
        stored = await bus.publish("CLAIMS", [Message("claims", b"", claim) for claim in ("a", "b", "a")])
        assert [answer.duplicate for answer in stored] == [False, False, True]

    async def test_publishing_everything_again_stores_nothing(self, bus):
        await bus.publish("MAIL", mails(600))
        stored = await bus.publish("MAIL", mails(600))
        assert all(answer.duplicate for answer in stored)
        assert (await bus.stream_state("MAIL")).messages == 600

    async def test_concurrent_publishers_each_get_their_own_answers(self, bus):
        answers = await asyncio.gather(*(bus.publish("MAIL", mails(150, start=n * 150)) for n in range(8)))
        sequences = sorted(answer.sequence for stored in answers for answer in stored)
        assert sequences == list(range(1, 1_201))

    async def test_subjects_may_differ_within_one_call(self, bus):
        await bus.publish("EVENTS", [Message(f"events.{kind}.spring", b"") for kind in ("accepted", "bounced")])
        assert await bus.count_by_subject("EVENTS", "events.>") == {
            "events.accepted.spring": 1,
            "events.bounced.spring": 1,
        }

    async def test_payloads_of_any_bytes_arrive_as_they_were(self, bus):
        payloads = [b"", b"\r\n\r\n", bytes(range(256)), b"x" * 200_000]
        await bus.publish("MAIL", [Message(DUE, payload) for payload in payloads])
        deliveries = await fetch_all(await open_lane(bus), 4)
        assert [delivery.payload for delivery in deliveries] == payloads


class TestConsuming:
    async def test_a_consumer_gets_messages_in_order(self, bus):
        lane = await open_lane(bus)
        await bus.publish("MAIL", mails(5))
        deliveries = await fetch_all(lane, 5)
        assert [(d.payload, d.subject, d.sequence, d.deliveries) for d in deliveries] == [
            (b"mail %d" % n, DUE, n + 1, 1) for n in range(5)
        ]

    async def test_a_new_consumer_starts_with_what_lies_there(self, bus):
        await bus.publish("MAIL", mails(3))
        assert len(await fetch_all(await open_lane(bus), 3)) == 3

    async def test_fetch_returns_nothing_after_its_wait(self, bus):
        assert await (await open_lane(bus)).fetch(10, 0.05) == []

    async def test_fetch_returns_no_more_than_its_limit(self, bus):
        lane = await open_lane(bus, ack_wait_seconds=60)
        await bus.publish("MAIL", mails(10))
        assert [d.sequence for d in await fetch_all(lane, 4)] == [1, 2, 3, 4]
        assert [d.sequence for d in await fetch_all(lane, 6)] == [5, 6, 7, 8, 9, 10]

    async def test_a_waiting_fetch_is_woken_by_a_publish(self, bus):
        fetching = asyncio.ensure_future((await open_lane(bus)).fetch(10, WAIT_SECONDS))
        await bus.publish("MAIL", mails(1))
        assert len(await fetching) == 1

    async def test_many_messages_come_through_in_order(self, bus):
        lane = await open_lane(bus, ack_wait_seconds=60)
        await bus.publish("MAIL", mails(3_000))
        seen = []
        while len(seen) < 3_000:
            deliveries = await lane.fetch(256, WAIT_SECONDS)
            await lane.ack(deliveries)
            seen += [delivery.sequence for delivery in deliveries]
        assert seen == list(range(1, 3_001))

    async def test_an_acknowledged_mail_leaves_the_work_queue(self, bus):
        lane = await open_lane(bus)
        await bus.publish("MAIL", mails(3))
        await lane.ack((await fetch_all(lane, 3))[:2])
        assert (await bus.stream_state("MAIL")).messages == 1

    async def test_what_was_acknowledged_together_is_settled_when_the_call_returns(self, bus):
        lane = await open_lane(bus, ack_wait_seconds=60)
        await bus.publish("MAIL", mails(2_000))
        for _ in range(4):
            await lane.ack(await fetch_all(lane, 500))
            assert (await bus.consumer_state("MAIL", "lane")).in_flight == 0
        assert (await bus.stream_state("MAIL")).messages == 0

    async def test_an_acknowledged_event_stays_in_its_stream(self, bus):
        await bus.publish("EVENTS", [Message("events.unsubscribed.spring", b"")])
        wishes = await bus.consumer("EVENTS", "wishes")
        await wishes.ack(await fetch_all(wishes, 1))
        assert (await bus.stream_state("EVENTS")).messages == 1
        assert (await bus.consumer_state("EVENTS", "wishes")).in_flight == 0

    async def test_what_is_not_acknowledged_comes_again_after_the_ack_wait(self, bus):
        lane = await open_lane(bus)
        await bus.publish("MAIL", mails(2))
        (first, _) = await fetch_all(lane, 2)
        await lane.ack([first])
        (again,) = await fetch_all(lane, 1)
        assert (again.sequence, again.deliveries) == (2, 2)

    async def test_an_acknowledged_message_never_comes_again(self, bus):
        lane = await open_lane(bus)
        await bus.publish("MAIL", mails(50))
        await lane.ack(await fetch_all(lane, 50))
        assert await lane.fetch(50, 3 * SHORT_ACK_WAIT_SECONDS) == []

    async def test_released_messages_come_again_at_once(self, bus):
        lane = await open_lane(bus, ack_wait_seconds=60)
        await bus.publish("MAIL", mails(3))
        await lane.release(await fetch_all(lane, 3))
        again = await fetch_all(lane, 3)
        assert [(delivery.sequence, delivery.deliveries) for delivery in again] == [(1, 2), (2, 2), (3, 2)]

    async def test_an_extended_message_is_not_given_to_anyone_else(self, bus):
        lane = await open_lane(bus, ack_wait_seconds=0.6)
        await bus.publish("MAIL", mails(1))
        deliveries = await fetch_all(lane, 1)
        for _ in range(4):
            assert await lane.fetch(1, 0.3) == []
            await lane.extend(deliveries)
        await lane.ack(deliveries)
        assert (await bus.stream_state("MAIL")).messages == 0

    async def test_answering_for_nothing_is_harmless(self, bus):
        lane = await open_lane(bus)
        await lane.ack([])
        await lane.release([])
        await lane.extend([])

    async def test_a_message_is_delivered_no_more_often_than_allowed_and_stays(self, bus):
        lane = await open_lane(bus, max_deliveries=2)
        await bus.publish("MAIL", mails(1))
        assert [d.deliveries for d in await fetch_all(lane, 2)] == [1, 2]
        assert await lane.fetch(1, 3 * SHORT_ACK_WAIT_SECONDS) == []
        assert (await bus.stream_state("MAIL")).messages == 1

    async def test_a_message_that_was_delivered_as_often_as_allowed_is_told_of_once(self, bus):
        lane = await open_lane(bus, max_deliveries=2)
        await bus.publish("MAIL", mails(2))
        (_, mail) = await fetch_all(lane, 2)
        await lane.ack([mail])
        await fetch_all(lane, 1)
        advisories_to = await bus.consumer("ADVISORIES", "poison")
        telling = asyncio.create_task(fetch_all(advisories_to, 1))
        assert await lane.fetch(1, 1) == []
        (told,) = await telling
        assert advisories.decode(told.payload) == MaxDeliveries("MAIL", "lane", 1, 2)
        await advisories_to.ack([told])
        assert (await bus.stream_state("ADVISORIES")).messages == 0

    async def test_no_more_than_the_allowed_number_is_in_flight(self, bus):
        lane = await open_lane(bus, max_ack_pending=3, ack_wait_seconds=60)
        await bus.publish("MAIL", mails(5))
        first = await fetch_all(lane, 3)
        assert await lane.fetch(5, 0.1) == []
        await lane.ack(first)
        assert [d.sequence for d in await fetch_all(lane, 2)] == [4, 5]

    async def test_two_workers_share_a_consumer_without_overlap(self, bus):
        lane, other = await open_lane(bus, ack_wait_seconds=60), await bus.consumer("MAIL", "lane")
        await bus.publish("MAIL", mails(100))
        shares = await asyncio.gather(fetch_all(lane, 50), fetch_all(other, 50))
        assert sorted(d.sequence for share in shares for d in share) == list(range(1, 101))

    async def test_what_a_closed_consumer_held_comes_again_elsewhere(self, bus):
        lane = await open_lane(bus)
        await bus.publish("MAIL", mails(1))
        await fetch_all(lane, 1)
        await lane.close()
        (again,) = await fetch_all(await bus.consumer("MAIL", "lane"), 1)
        assert again.deliveries == 2

    async def test_what_a_consumer_leaves_when_it_closes_comes_at_once_to_others(self, bus):
        lane, other = await open_lane(bus, ack_wait_seconds=60), await bus.consumer("MAIL", "lane")
        await bus.publish("MAIL", mails(200))
        for leaving in [lane] + [await bus.consumer("MAIL", "lane") for _ in range(4)]:
            held = await leaving.fetch(1_000, 5)
            await leaving.release(held[:100])  # what it asked for is still open: these come back, even while it closes
            await leaving.close()
            await leaving.release(held[100:])
        assert {d.sequence for d in await fetch_all(other, 200)} == set(range(1, 201))

    async def test_a_filter_with_wildcards_selects(self, bus):
        spec = streams.ConsumerSpec(stream="EVENTS", name="one", filter_subject=subjects.events_of_campaign("spring"))
        await bus.create_consumer(spec)
        names = ["accepted.spring", "accepted.summer", "bounced.spring"]
        await bus.publish("EVENTS", [Message(f"events.{name}", b"") for name in names])
        deliveries = await fetch_all(await bus.consumer("EVENTS", "one"), 2)
        assert [d.subject for d in deliveries] == ["events.accepted.spring", "events.bounced.spring"]

    async def test_a_consumer_may_have_several_filters(self, bus):
        names = ["accepted.spring", "unsubscribed.spring", "opened.spring", "complained.summer"]
        await bus.publish("EVENTS", [Message(f"events.{name}", b"") for name in names])
        deliveries = await fetch_all(await bus.consumer("EVENTS", streams.WISHES.name), 2)
        assert [d.subject for d in deliveries] == ["events.unsubscribed.spring", "events.complained.summer"]


class TestConsumers:
    async def test_the_state_of_a_consumer_counts_what_waits_and_what_is_in_flight(self, bus):
        lane = await open_lane(bus, ack_wait_seconds=60)
        await bus.publish("MAIL", mails(5))
        await lane.ack((await fetch_all(lane, 3))[:1])
        state = await bus.consumer_state("MAIL", "lane")
        assert (state.waiting, state.in_flight) == (2, 2)

    async def test_purged_mails_do_not_count_as_waiting(self, bus):
        await open_lane(bus)
        await bus.publish("MAIL", mails(5))
        await bus.purge("MAIL", subjects.mail_due_of_campaign("spring"))
        assert (await bus.consumer_state("MAIL", "lane")).waiting == 0

    async def test_creating_a_consumer_twice_keeps_its_state(self, bus):
        lane = await open_lane(bus, ack_wait_seconds=60)
        await bus.publish("MAIL", mails(2))
        await fetch_all(lane, 1)
        await open_lane(bus, ack_wait_seconds=60)
        state = await bus.consumer_state("MAIL", "lane")
        assert (state.waiting, state.in_flight) == (1, 1)

    async def test_a_deleted_consumer_is_gone_and_its_mails_stay(self, bus):
        lane = await open_lane(bus)
        await bus.publish("MAIL", mails(2))
        await lane.close()
        await bus.delete_consumer("MAIL", "lane")
        assert await bus.consumer_state("MAIL", "lane") is None
        assert (await bus.stream_state("MAIL")).messages == 2

    async def test_a_deleted_consumer_cannot_be_fetched_from(self, bus):
        lane = await open_lane(bus)
        await bus.delete_consumer("MAIL", "lane")
        with pytest.raises(StreamMissing):
            await lane.fetch(1, WAIT_SECONDS)

    async def test_a_fetch_that_waits_hears_that_its_consumer_was_deleted(self, bus):
        fetching = asyncio.ensure_future((await open_lane(bus)).fetch(1, WAIT_SECONDS))
        await asyncio.sleep(0.05)
        await bus.delete_consumer("MAIL", "lane")
        with pytest.raises(StreamMissing):
            await asyncio.wait_for(fetching, 5)

    async def test_deleting_a_consumer_that_is_not_there_is_harmless(self, bus):
        await bus.delete_consumer("MAIL", "nobody")

    async def test_a_consumer_that_is_not_there_cannot_be_opened(self, bus):
        with pytest.raises(StreamMissing):
            await bus.consumer("MAIL", "nobody")

    async def test_all_lanes_of_a_campaign_exist_side_by_side(self, bus):
        lanes = streams.lanes("spring", "pool")
        for lane in lanes:
            await bus.create_consumer(lane)
        assert all([await bus.consumer_state("MAIL", lane.name) for lane in lanes])


class TestSchedules:
    def later(self, mail, seconds=0.5, payload=b"again"):
        return Message(waiting(mail), payload, f"{mail}/2", time.time() + seconds, DUE)

    async def test_a_scheduled_mail_arrives_once_at_its_time(self, bus):
        lane = await open_lane(bus, ack_wait_seconds=60)
        retry = self.later("a")
        await bus.publish("MAIL", [retry])
        (delivery,) = await fetch_all(lane, 1)
        assert time.time() >= retry.due_at - 0.01
        assert (delivery.payload, delivery.subject, delivery.deliveries) == (b"again", DUE, 1)
        assert await lane.fetch(1, 0.5) == []

    async def test_a_scheduled_mail_waits_under_its_own_subject_until_then(self, bus):
        await bus.publish("MAIL", [self.later("a", seconds=60), self.later("b", seconds=60)])
        waits = subjects.mail_waiting_of_campaign("spring")
        assert await bus.count_by_subject("MAIL", waits) == {waiting("a"): 1, waiting("b"): 1}

    async def test_a_fired_mail_leaves_its_waiting_subject(self, bus):
        lane = await open_lane(bus)
        await bus.publish("MAIL", [self.later("a", seconds=0.1)])
        await fetch_all(lane, 1)
        assert await bus.count_by_subject("MAIL", ">") == {DUE: 1}

    async def test_many_scheduled_mails_all_arrive(self, bus):
        lane = await open_lane(bus, ack_wait_seconds=60)
        await bus.publish("MAIL", [self.later(f"m{n}") for n in range(700)])
        deliveries = await fetch_all(lane, 700)
        await lane.ack(deliveries)
        assert (await bus.stream_state("MAIL")).messages == 0

    async def test_a_due_time_in_the_past_fires_at_once(self, bus):
        lane = await open_lane(bus)
        await bus.publish("MAIL", [self.later("a", seconds=-100)])
        assert len(await fetch_all(lane, 1)) == 1

    async def test_scheduling_the_same_id_twice_is_a_duplicate_even_after_it_fired(self, bus):
        lane = await open_lane(bus, ack_wait_seconds=60)
        await bus.publish("MAIL", [self.later("a", seconds=0.1)])
        await lane.ack(await fetch_all(lane, 1))
        (again,) = await bus.publish("MAIL", [self.later("a")])
        assert again.duplicate
        assert (await bus.stream_state("MAIL")).messages == 0

    async def test_a_newer_schedule_takes_the_place_of_the_older(self, bus):
        lane = await open_lane(bus, ack_wait_seconds=60)
        await bus.publish("MAIL", [self.later("a", seconds=60)])
        await bus.publish("MAIL", [self.later("a", seconds=0, payload=b"hurried")._replace(id="")])
        (delivery,) = await fetch_all(lane, 1)
        await lane.ack([delivery])
        assert delivery.payload == b"hurried"
        assert (await bus.stream_state("MAIL")).messages == 0

    async def test_purged_schedules_never_fire(self, bus):
        lane = await open_lane(bus)
        await bus.publish("MAIL", [self.later("a", seconds=0.4), self.later("b", seconds=0.4)])
        assert await bus.purge("MAIL", subjects.mail_waiting_of_campaign("spring")) == 2
        assert await lane.fetch(1, 1) == []

    async def test_a_record_says_when_it_is_due_until_it_has_fired(self, bus):
        await bus.publish("MAIL", [self.later("a", seconds=60)])
        (record,) = await read_all(bus, "MAIL")
        assert record.due_at == pytest.approx(time.time() + 60, abs=5)
        assert await bus.replace("MAIL", [self.later("a", seconds=0)._replace(id="")], [record.sequence]) == [2]
        await fetch_all(await open_lane(bus, ack_wait_seconds=60), 1)
        assert [record.due_at for record in await read_all(bus, "MAIL")] == [None]

    async def test_only_one_of_many_who_replace_the_same_schedule_succeeds(self, bus):
        (stored,) = await bus.publish("MAIL", [self.later("a", seconds=60)])
        message = self.later("a", seconds=0)._replace(id="")
        tried = await asyncio.gather(*(bus.replace("MAIL", [message], [stored.sequence]) for _ in range(5)))
        assert sorted(tried) == [*([[0]] * 4), [stored.sequence + 1]]
        await fetch_all(await open_lane(bus, ack_wait_seconds=60), 1)
        assert (await bus.stream_state("MAIL")).messages == 1

    async def test_a_schedule_that_has_fired_is_not_replaced(self, bus):
        (stored,) = await bus.publish("MAIL", [self.later("a", seconds=0)])
        await fetch_all(await open_lane(bus, ack_wait_seconds=60), 1)
        assert await bus.replace("MAIL", [self.later("a", seconds=0)._replace(id="")], [stored.sequence]) == [0]

    async def test_what_may_only_be_the_first_under_its_subject_is_stored_once(self, bus):
        messages = [self.later(name, seconds=60)._replace(id="") for name in ("a", "b", "a")]
        assert await bus.replace("MAIL", messages, [0, 0, 0]) == [1, 2, 0]
        assert [record.subject for record in await read_all(bus, "MAIL")] == [waiting("a"), waiting("b")]

    async def test_the_waiting_consumer_counts_what_is_scheduled_fired_and_purged(self, bus):
        async def count():
            return (await bus.consumer_state("MAIL", streams.WAITING.name)).waiting

        lane = await open_lane(bus, ack_wait_seconds=60)
        await bus.publish("MAIL", [self.later("soon", seconds=0.2), self.later("a", 60), self.later("b", 60)])
        assert await count() == 3
        await fetch_all(lane, 1)
        assert await count() == 2
        await bus.purge("MAIL", waiting("a"))
        assert await count() == 1


class TestReading:
    async def publish_events(self, bus, *names):
        await bus.publish("EVENTS", [Message(f"events.{name}", name.encode(), f"id/{name}") for name in names])

    async def test_reading_consumes_nothing(self, bus):
        await bus.publish("MAIL", mails(3))
        assert len(await read_all(bus, "MAIL")) == 3
        assert len(await read_all(bus, "MAIL")) == 3

    async def test_a_record_says_what_was_published_and_when(self, bus):
        before = time.time()
        await self.publish_events(bus, "accepted.spring")
        (record,) = await read_all(bus, "EVENTS")
        assert record[:3] == (b"accepted.spring", "events.accepted.spring", 1)
        assert record.id == "id/accepted.spring"
        assert before - 0.01 <= record.stored_at <= time.time() + 0.01

    async def test_reading_follows_its_filter(self, bus):
        await self.publish_events(bus, "accepted.spring", "accepted.summer", "bounced.spring")
        records = await read_all(bus, "EVENTS", subjects.events_of_campaign("spring"))
        assert [record.payload for record in records] == [b"accepted.spring", b"bounced.spring"]

    async def test_reading_starts_where_it_is_told(self, bus):
        await bus.publish("MAIL", mails(5))
        assert [r.sequence for r in await read_all(bus, "MAIL", DUE, from_sequence=4)] == [4, 5]
        assert await read_all(bus, "MAIL", DUE, from_sequence=6) == []

    async def test_more_than_a_page_is_read_whole(self, bus):
        await bus.publish("MAIL", mails(2_500))
        assert [record.sequence for record in await read_all(bus, "MAIL")] == list(range(1, 2_501))

    async def test_large_messages_are_read_whole(self, bus):
        await bus.publish("MAIL", [Message(DUE, bytes(500_000)) for _ in range(40)])
        assert sum(len(record.payload) for record in await read_all(bus, "MAIL")) == 20_000_000

    async def test_an_empty_stream_reads_as_nothing(self, bus):
        assert await read_all(bus, "EVENTS") == []

    async def test_following_goes_on_with_what_is_published_later(self, bus):
        await self.publish_events(bus, "accepted.a", "bounced.a")
        seen = []
        async with (
            asyncio.timeout(WAIT_SECONDS),
            aclosing(bus.read("EVENTS", "events.accepted.*", follow=True)) as reading,
        ):
            async for record in reading:
                seen.append(record.payload)
                if len(seen) == 1:
                    await self.publish_events(bus, "bounced.b", "accepted.b", "accepted.c")
                if len(seen) == 3:
                    break
        assert seen == [b"accepted.a", b"accepted.b", b"accepted.c"]

    async def test_following_an_empty_stream_waits_for_the_first(self, bus):
        async with asyncio.timeout(WAIT_SECONDS), aclosing(bus.read("EVENTS", "events.>", follow=True)) as reading:
            first = asyncio.ensure_future(anext(reading))
            await self.publish_events(bus, "accepted.a")
            assert (await first).payload == b"accepted.a"


class TestRanges:
    async def test_a_range_holds_everything_between_two_sequences(self, bus):
        await bus.publish("MAIL", mails(12_000))
        found = await bus.read_range("MAIL", 2, 11_001)
        assert [passage.sequence for passage in found] == list(range(2, 11_002))
        assert found[0] == (b"mail 1", mails(2)[1].subject, 2)

    async def test_what_was_deleted_is_not_in_it(self, bus):
        await bus.publish("EVENTS", [Message(f"events.accepted.{name}", b"") for name in "abacadaaab"])
        for doomed in ("a", "b"):
            await bus.purge("EVENTS", f"events.accepted.{doomed}")
        for first, last, there in ((1, 9, [4, 6]), (5, 5, []), (5, 6, [6]), (7, 10, []), (1, 10, [4, 6])):
            assert [passage.sequence for passage in await bus.read_range("EVENTS", first, last)] == there

    async def test_what_the_stream_does_not_have_yet_is_waited_for(self, bus):
        await bus.publish("MAIL", mails(3))
        for first in (2, 4):
            with pytest.raises(RetryLater):
                await bus.read_range("MAIL", first, 4)


class TestStreams:
    async def test_purging_deletes_what_matches_and_says_how_many(self, bus):
        await bus.publish("MAIL", [*mails(3), Message(subjects.mail_due("pool", "gmail", "summer"), b"")])
        assert await bus.purge("MAIL", subjects.mail_due_of_campaign("spring")) == 3
        assert await bus.count_by_subject("MAIL", ">") == {subjects.mail_due("pool", "gmail", "summer"): 1}

    async def test_only_one_of_many_who_delete_a_message_hears_that_it_was_there(self, bus):
        await bus.publish("MAIL", mails(3))
        told = await asyncio.gather(*(bus.delete("MAIL", [2, 3, 99]) for _ in range(4)))
        assert sorted(map(sum, zip(*told, strict=True))) == [0, 1, 1]
        assert [record.sequence for record in await read_all(bus, "MAIL")] == [1]

    async def test_a_deleted_schedule_never_fires(self, bus):
        lane = await open_lane(bus)
        due = Message(waiting("a"), b"", "a/2", due_at=time.time() + 0.4, target=DUE)
        (stored,) = await bus.publish("MAIL", [due])
        assert await bus.delete("MAIL", [stored.sequence]) == [True]
        assert await lane.fetch(1, 1) == []

    async def test_purging_nothing_says_zero(self, bus):
        assert await bus.purge("MAIL", subjects.mail_due_of_campaign("none")) == 0

    async def test_counting_more_subjects_than_one_answer_holds(self, bus):
        later = time.time() + 600
        retries = [Message(waiting(f"m{n}"), b"", f"m{n}/2", later, DUE) for n in range(1_500)]
        await bus.publish("MAIL", retries)
        counts = await bus.count_by_subject("MAIL", subjects.MAIL_WAITING)
        assert len(counts) == sum(counts.values()) == 1_500

    async def test_the_state_of_a_stream(self, bus):
        lane = await open_lane(bus)
        await bus.publish("MAIL", mails(3))
        await lane.ack((await fetch_all(lane, 3))[:1])
        state = await bus.stream_state("MAIL")
        assert (state.messages, state.first_sequence, state.last_sequence) == (2, 2, 3)
        assert state.bytes > 0

    async def test_setup_is_harmless_to_repeat(self, bus):
        await bus.publish("MAIL", mails(3))
        await (await bus.bucket("campaigns")).put("spring", b"1")
        await bus.setup()
        assert (await bus.stream_state("MAIL")).messages == 3
        assert (await (await bus.bucket("campaigns")).get("spring")).value == b"1"


class TestBuckets:
    @pytest.fixture
    async def bucket(self, bus):
        return await bus.bucket("campaigns")

    async def test_a_value_is_there_once_put(self, bucket):
        revision = await bucket.put("spring", b"1")
        assert await bucket.get("spring") == Entry("spring", b"1", revision)

    async def test_a_key_without_value_is_none(self, bucket):
        assert await bucket.get("spring") is None

    async def test_a_glance_sees_what_a_key_holds(self, bucket):
        assert await bucket.glance("spring") is None
        await bucket.put("spring", b"1")
        assert await bucket.glance("spring") == await bucket.get("spring")
        await bucket.delete("spring")
        assert await bucket.glance("spring") is None

    async def test_an_update_needs_the_newest_revision(self, bucket):
        first = await bucket.put("spring", b"1")
        second = await bucket.update("spring", b"2", first)
        assert second > first
        with pytest.raises(RevisionMismatch):
            await bucket.update("spring", b"3", first)
        assert (await bucket.get("spring")).value == b"2"

    async def test_an_update_from_revision_zero_creates_and_only_creates(self, bucket):
        await bucket.update("spring", b"1", 0)
        with pytest.raises(RevisionMismatch):
            await bucket.update("spring", b"2", 0)
        assert (await bucket.get("spring")).value == b"1"

    async def test_an_update_of_what_is_not_there_is_a_mismatch(self, bucket):
        with pytest.raises(RevisionMismatch):
            await bucket.update("spring", b"1", 7)

    async def test_a_deleted_key_is_gone_and_can_be_created_again(self, bucket):
        await bucket.put("spring", b"1")
        await bucket.delete("spring")
        assert await bucket.get("spring") is None
        await bucket.update("spring", b"2", 0)
        assert (await bucket.get("spring")).value == b"2"

    async def test_deleting_what_is_not_there_is_harmless(self, bucket):
        await bucket.delete("spring")

    async def test_entries_are_the_keys_that_have_a_value(self, bucket):
        for key in ("a", "b", "c"):
            await bucket.put(key, key.encode())
        await bucket.put("c", b"changed")
        await bucket.delete("a")
        assert sorted((entry.key, entry.value) for entry in await bucket.entries()) == [("b", b"b"), ("c", b"changed")]

    async def test_an_empty_bucket_has_no_entries(self, bucket):
        assert await bucket.entries() == []

    async def test_only_one_of_many_concurrent_updates_wins(self, bucket):
        revision = await bucket.put("spring", b"0")
        updates = (bucket.update("spring", b"%d" % n, revision) for n in range(10))
        results = await asyncio.gather(*updates, return_exceptions=True)
        assert sum(isinstance(result, RevisionMismatch) for result in results) == 9

    async def test_a_watch_gives_all_values_then_none_then_changes(self, bucket):
        await bucket.put("a", b"1")
        await bucket.put("gone", b"1")
        await bucket.delete("gone")
        async with asyncio.timeout(WAIT_SECONDS), aclosing(bucket.watch()) as watch:
            first = await anext(watch)
            assert (first.key, first.value, await anext(watch)) == ("a", b"1", None)
            await bucket.put("b", b"2")
            await bucket.delete("a")
            changes = [await anext(watch), await anext(watch)]
        assert [(entry.key, entry.value, entry.deleted) for entry in changes] == [("b", b"2", False), ("a", b"", True)]

    async def test_a_watch_on_an_empty_bucket_starts_with_none(self, bucket):
        async with asyncio.timeout(WAIT_SECONDS), aclosing(bucket.watch()) as watch:
            assert await anext(watch) is None

    async def test_buckets_do_not_share_keys(self, bus, bucket):
        await bucket.put("spring", b"1")
        assert await (await bus.bucket("progress")).get("spring") is None


class TestBlobs:
    async def test_ten_megabytes_come_back_as_they_were(self, bus):
        data = bytes(range(256)) * 40_960
        blobs = await bus.blobs()
        await blobs.put("spring/batch/1", data)
        assert await blobs.get("spring/batch/1") == data

    async def test_an_empty_blob_is_a_blob(self, bus):
        blobs = await bus.blobs()
        await blobs.put("spring/empty", b"")
        assert await blobs.get("spring/empty") == b""

    async def test_a_blob_can_be_replaced(self, bus):
        blobs = await bus.blobs()
        await blobs.put("spring/compiled", b"old" * 100_000)
        await blobs.put("spring/compiled", b"new")
        assert await blobs.get("spring/compiled") == b"new"

    async def test_a_blob_that_is_not_there_is_a_key_error(self, bus):
        with pytest.raises(KeyError):
            await (await bus.blobs()).get("spring/compiled")

    async def test_a_deleted_blob_is_gone_and_deleting_it_again_harmless(self, bus):
        blobs = await bus.blobs()
        await blobs.put("spring/compiled", b"1")
        await blobs.delete("spring/compiled")
        await blobs.delete("spring/compiled")
        with pytest.raises(KeyError):
            await blobs.get("spring/compiled")


class TestWithoutSetup:
    @pytest.fixture
    async def nats_bus_without_setup(self, empty_nats_server):
        bus = await NatsBus.connect(BusSettings(url=empty_nats_server.url), name="test")
        yield bus
        await bus.close()

    @pytest.fixture
    def memory_bus_without_setup(self):
        return MemoryBus()

    @pytest.fixture(params=["memory_bus_without_setup", "nats_bus_without_setup"], ids=["memory", "nats"])
    def bare(self, request):
        return request.getfixturevalue(request.param)

    @pytest.mark.parametrize(
        "call",
        [
            lambda bus: bus.publish("MAIL", mails(1)),
            lambda bus: bus.publish("MAIL", mails(3)),
            lambda bus: bus.create_consumer(streams.PRODUCER),
            lambda bus: bus.consumer("BATCHES", "producer"),
            lambda bus: bus.stream_state("MAIL"),
            lambda bus: bus.count_by_subject("MAIL", ">"),
            lambda bus: bus.purge("MAIL", ">"),
            lambda bus: read_all(bus, "MAIL"),
            lambda bus: bus.bucket("campaigns"),
            lambda bus: bus.blobs(),
        ],
        ids=["publish", "publish many", "create", "consume", "state", "count", "purge", "read", "bucket", "blobs"],
    )
    async def test_a_call_says_that_the_streams_are_missing(self, bare, call):
        with pytest.raises(StreamMissing):
            await call(bare)
