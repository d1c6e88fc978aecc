"""One worker, nothing dies: every kind of outcome takes its way."""

import asyncio

import msgspec
import pytest
from sender_world import DICTIONARY, SETTINGS, World, refused

from events import compression, dead_letters, facts, schemas, streams, subjects
from events.bus import Message
from events.errors import StreamMissing
from events.verp import Verp
from sender.drivers.base import NotTried, Unknown
from sender.settings import SenderSettings


@pytest.fixture
async def world(clock):
    world = World(clock)
    await world.set_up()
    yield world
    await world.stop()


async def test_every_mail_is_delivered_once_stated_and_acknowledged(world):
    await world.queue(*[f"mail{n:02}" for n in range(40)])
    await world.start()
    await world.until_settled()
    assert set(world.relay.took) == set(world.mails)
    assert set(world.relay.took.values()) == {1}
    assert await world.stories() == {mail: ["accepted"] for mail in world.mails}


async def test_the_mail_on_the_wire_is_the_one_that_was_queued(world):
    await world.queue("mail00")
    seen = []
    world.relay.answer = lambda outbound, at, answer=world.relay.answer: seen.append(outbound) or answer(outbound, at)
    await world.start()
    await world.until_settled()
    assert seen[0].message.endswith(b"news of the week.\r\nmail00")
    assert (seen[0].recipient, seen[0].return_path) == ("mail00@example.org", "bounces@example.com")


async def test_with_a_secret_every_mail_has_a_return_path_that_tells_which_it_is(world):
    await world.queue("mail00", "mail01")
    seen = {}
    world.relay.answer = lambda outbound, at, answer=world.relay.answer: (
        seen.setdefault(outbound.mail_id, outbound.return_path) and answer(outbound, at)
    )
    await world.start(settings=msgspec.structs.replace(SETTINGS, verp_secret="sixteen or more letters"))
    await world.until_settled()
    verp = Verp("sixteen or more letters")
    assert seen == {mail: verp.address("bounces@example.com", "spring", mail) for mail in ("mail00", "mail01")}
    assert len(set(seen.values())) == 2


def test_a_secret_that_is_too_short_is_refused():
    with pytest.raises(ValueError, match="verp_secret is too short"):
        SenderSettings(verp_secret="short")


async def test_a_transient_failure_is_retried_with_its_history(world):
    world.relay.script["mail00"] = [refused("transient")]
    await world.queue("mail00")
    await world.start()
    await world.until_settled()
    deferred, accepted = await world.facts()
    assert facts.type_of(deferred) == "deferred"
    assert deferred.retry_at == deferred.at + 30
    assert (accepted.attempt, facts.type_of(accepted)) == (2, "accepted")
    assert accepted.latency_seconds == pytest.approx(40, abs=20)


async def test_a_retry_waits_under_a_subject_that_names_its_class(world):
    world.relay.script["mail00"] = [refused("soft")]
    await world.queue("mail00")
    await world.start()
    await world.until_settled(due_only=True)
    waiting = await world.bus.count_by_subject("MAIL", subjects.MAIL_WAITING)
    assert list(waiting) == ["mail.retry.spring.main.gmail.soft.mail00"]


async def test_a_hard_bounce_is_stated_and_never_retried(world):
    world.relay.script["mail00"] = [refused("hard", suppress=True)]
    await world.queue("mail00")
    await world.start()
    await world.until_settled()
    assert await world.stories() == {"mail00": ["bounced"]}


async def test_a_mail_is_given_up_after_three_retries_and_lies_in_the_dlq(world):
    world.relay.script["mail00"] = [refused("soft")] * 9
    await world.queue("mail00")
    await world.start()
    await world.until_settled()
    assert await world.stories() == {"mail00": ["deferred", "deferred", "deferred", "failed"]}
    (record,) = [r async for r in world.bus.read("DLQ", subjects.DLQ)]
    letter = dead_letters.decode(record.payload)
    assert (letter.failure_class, letter.reason, letter.mail.attempt) == ("soft", "soft_reason", 4)
    assert [attempt.number for attempt in letter.mail.history] == [1, 2, 3, 4]


async def test_a_block_goes_to_the_dlq_at_once(world):
    world.relay.script["mail00"] = [refused("block")]
    await world.queue("mail00")
    await world.start()
    await world.until_settled()
    assert await world.stories() == {"mail00": ["failed"]}
    assert (await world.bus.stream_state("DLQ")).messages == 1


async def test_throttled_tries_do_not_use_up_the_limit(world):
    world.relay.script["mail00"] = [refused("throttled")] * 6
    await world.queue("mail00")
    await world.start()
    await world.until_settled()
    assert await world.stories() == {"mail00": ["deferred"] * 6 + ["accepted"]}


async def test_what_was_on_the_wire_when_the_connection_broke_is_in_doubt_and_left(world):
    world.relay.script["mail00"] = [Unknown("connection lost")]
    await world.queue("mail00")
    await world.start()
    await world.until_settled()
    assert await world.stories() == {"mail00": ["in_doubt"]}
    assert world.relay.took["mail00"] == 0


async def test_at_least_once_tries_again_what_is_in_doubt_and_marks_the_risk(world):
    await world.set_campaign(policy="at_least_once")
    world.relay.script["mail00"] = [Unknown("taken"), refused("block")]
    await world.queue("mail00")
    await world.start()
    await world.until_settled()
    assert await world.stories() == {"mail00": ["in_doubt", "failed"]}
    (record,) = [r async for r in world.bus.read("DLQ", subjects.DLQ)]
    assert dead_letters.decode(record.payload).mail.history[0].failure_class == "in_doubt"


async def test_a_mail_that_the_session_certainly_did_not_take_goes_to_the_next_session(world):
    world.relay.script["mail00"] = [NotTried("closed"), NotTried("closed")]
    await world.queue("mail00", "mail05", provider="gmail")
    await world.start()
    await world.until_settled()
    assert await world.stories() == {"mail00": ["accepted"], "mail05": ["accepted"]}


async def test_a_mail_that_no_session_takes_is_deferred_without_being_charged(world):
    world.relay.script["mail00"] = [NotTried("closed")] * 15
    await world.queue("mail00")
    await world.start()
    await world.until_settled()
    assert await world.stories() == {"mail00": ["deferred"] * 5 + ["accepted"]}


async def test_while_the_relay_is_down_nothing_is_claimed(world):
    world.relay.down = True
    await world.queue("mail00", "mail01")
    worker = await world.start()
    await world.until(lambda: worker._lines["main"].connecting.failures >= 2)
    assert (await world.bus.stream_state("CLAIMS")).messages == 0
    world.relay.down = False
    await world.until_settled()
    assert await world.stories() == {"mail00": ["accepted"], "mail01": ["accepted"]}


async def test_mails_past_the_deadline_expire_even_while_the_relay_is_down(world):
    world.relay.down = True
    await world.set_campaign(deadline=world.clock() - 1)
    await world.queue("mail00", "mail01")
    await world.start()
    await world.until_settled()
    assert await world.stories() == {"mail00": ["expired"], "mail01": ["expired"]}


async def test_a_paused_campaign_is_not_fetched_and_goes_on_when_resumed(world):
    await world.set_campaign(status="paused")
    await world.queue("mail00")
    worker = await world.start()
    await world.until(lambda: len(worker._intake.open) == 5)
    await asyncio.sleep(0.02)
    assert world.relay.took.total() == 0
    assert (await world.bus.consumer_state("MAIL", "spring--main--gmail")).in_flight == 0
    await world.set_campaign(status="running")
    await world.until_settled()
    assert world.relay.took.total() == 1


async def test_a_cancelled_campaign_s_mails_are_dropped_without_a_word(world):
    await world.set_campaign(status="cancelled")
    await world.queue("mail00", "mail01")
    await world.start()
    await world.until_settled()
    assert world.relay.took.total() == 0
    assert await world.stories() == {}


async def test_a_finished_campaign_s_lanes_are_closed(world):
    worker = await world.start()
    await world.until(lambda: len(worker._intake.open) == 5)
    await world.set_campaign(status="finished", finished_at=world.clock())
    await world.until(lambda: not worker._intake.open)


async def test_a_campaign_of_another_pool_is_left_alone(clock):
    world = await World(clock, pool="other").set_up()
    worker = await world.start()
    await worker.starting
    await asyncio.sleep(0.02)
    assert not worker._intake._feeding
    await world.stop()


async def test_lanes_wait_for_a_dictionary_that_comes_later(world):
    blobs = await world.bus.blobs()
    dictionary = await blobs.get("spring/dictionary")
    await blobs.delete("spring/dictionary")
    await world.queue("mail00")
    await world.start()
    await asyncio.sleep(0.02)
    await blobs.put("spring/dictionary", dictionary)
    await world.until_settled()
    assert world.relay.took.total() == 1


async def test_lanes_wait_where_their_dictionary_cannot_be_read(world, caplog):
    blobs = await world.bus.blobs()
    dictionary = await blobs.get("spring/dictionary")
    await blobs.put("spring/dictionary", compression._DICTIONARY_MARK + b"of a later release")
    await world.queue("mail00")
    await world.start()
    await world.until(lambda: "is damaged, or of a newer release than this sender" in caplog.text)
    await blobs.put("spring/dictionary", dictionary)
    await world.until_settled()
    assert world.relay.took.total() == 1


async def test_an_unreadable_body_is_given_up_and_the_others_go_on(world):
    await world.queue("mail00", body=b"not a frame", provider="gmail")
    await world.queue("mail01", provider="gmail")
    await world.start()
    await world.until_settled()
    assert await world.stories() == {"mail00": ["failed"], "mail01": ["accepted"]}


async def test_what_is_no_mail_at_all_stays_in_the_stream_and_stops_nobody(world):
    await world.bus.publish("MAIL", [Message(subjects.mail_due("main", "gmail", "spring"), b"\xc1")])
    await world.queue("mail01", provider="gmail")
    await world.start()
    await world.until(lambda: world.relay.took["mail01"] == 1)
    assert await world.left() >= 1


async def test_stopping_finishes_what_is_claimed_and_gives_back_the_rest(world):
    await world.queue(*[f"mail{n:02}" for n in range(30)], provider="gmail")
    world.relay.gate = asyncio.Event()
    worker = await world.start()
    await world.until(lambda: len(world.relay.batches) == 2)
    stopping = asyncio.create_task(worker.stop())
    world.workers.remove(worker)
    world.relay.gate.set()
    await stopping
    assert set(await world.stories()) == set(world.relay.took)
    fresh = await world.bus.consumer("MAIL", "spring--main--gmail")
    assert len(await fresh.fetch(100, 0)) == 30 - len(world.relay.took) > 0


async def test_a_given_back_mail_is_sent_by_the_next_worker_however_late(world):
    world.clock.advance(3600)
    await world.queue(*[f"mail{n:02}" for n in range(12)], provider="gmail", queued_at=world.clock() - 3600)
    world.relay.down = True
    worker = await world.start()
    await world.until(lambda: any(lane.waiting for lane in worker._intake.open))
    await worker.stop()
    world.workers.remove(worker)
    world.clock.advance(3600)
    world.relay.down = False
    await world.start()
    await world.until_settled()
    assert await world.stories() == {mail: ["accepted"] for mail in world.mails}


async def test_a_slow_lane_leaves_sessions_to_the_others(world):
    settings = msgspec.structs.replace(SETTINGS, lane_share=0.5)
    world.relay.gate = asyncio.Event()
    await world.queue(*[f"slow{n:02}" for n in range(20)], provider="gmail")
    await world.queue(*[f"mail{n:02}" for n in range(3)], provider="yahoo")
    await world.start(settings=settings)
    await world.until(lambda: len(world.relay.batches) == 2)
    lanes = {batch[0][:4] for batch in world.relay.batches}
    world.relay.gate.set()
    assert lanes == {"slow", "mail"}


async def test_holds_are_extended_while_a_delivery_takes_long(world):
    world.relay.gate = asyncio.Event()
    await world.queue("mail00")
    worker = await world.start()
    await world.until(lambda: world.relay.batches)
    for _ in range(6):
        world.clock.advance(25)
        await worker._intake.extend_holds()
    other = await world.bus.consumer("MAIL", "spring--main--gmail")
    assert await other.fetch(10, 0) == []
    world.relay.gate.set()
    await world.until_settled()
    assert await world.stories() == {"mail00": ["accepted"]}


async def test_holds_of_a_lane_are_extended_although_another_one_is_gone(world):
    world.relay.down = True
    await world.queue("mail00", "mail01", "mail02", "mail03", "mail04")  # one for each provider
    worker = await world.start()
    await world.until(lambda: sum(len(lane.waiting) for lane in worker._intake.open) == 5)
    await world.bus.delete_consumer("MAIL", "spring--main--gmail")
    world.clock.advance(30)
    with pytest.raises(StreamMissing):
        await worker._intake.extend_holds()
    old = {lane.provider for lane in worker._intake.open for held in lane.waiting if held.since < world.clock()}
    assert old == {"gmail"}


async def test_while_nats_is_away_nothing_is_lost_and_everything_goes_on_after(world):
    world.relay.script["mail03"] = [refused("transient")]
    world.relay.gate = asyncio.Event()
    await world.queue(*[f"mail{n:02}" for n in range(12)])
    await world.start()
    await world.until(lambda: len(world.relay.batches) == 2)
    world.bus.unavailable = True
    world.relay.gate.set()
    await asyncio.sleep(0.05)
    world.bus.unavailable = False
    await world.until_settled()
    stories = await world.stories()
    assert stories.pop("mail03") == ["deferred", "accepted"]
    assert set(map(tuple, stories.values())) == {("accepted",)}


async def test_a_driver_that_raises_costs_its_mails_a_doubt_and_the_slot_lives_on(world):
    failed = []

    def fail(outbound, at):
        failed.append(outbound)
        raise ZeroDivisionError

    world.relay.answer = fail
    await world.queue("mail00", provider="gmail")
    await world.start()
    await world.until(lambda: failed)
    await world.pass_time(80)
    await world.until_settled()
    assert await world.stories() == {"mail00": ["in_doubt"]}


async def test_a_retry_carries_what_the_next_attempt_needs(world):
    world.relay.script["mail00"] = [refused("soft", retry_after_seconds=700.0)]
    await world.queue("mail00")
    await world.start()
    await world.until_settled(due_only=True)
    (record,) = [r async for r in world.bus.read("MAIL", subjects.MAIL_WAITING)]
    mail = schemas.decode_mail(record.payload)
    assert (mail.attempt, mail.charged, mail.history[0].code, record.id) == (2, 1, 451, "mail00/2")
    assert (await world.facts())[0].retry_at == world.clock() + 700


async def test_a_lane_opens_as_soon_as_its_campaign_is_planned_however_long_it_was_waited_for():
    """The sender saw the campaign before its lanes were there, and would look again only after a while."""
    world = World(status="planning")
    await world.bus.setup()
    await world.set_campaign()
    worker = await world.start(settings=msgspec.structs.replace(SETTINGS, retry_pause_seconds=900.0))
    await world.until(lambda: "spring" in worker._intake._news)
    await (await world.bus.blobs()).put("spring/dictionary", DICTIONARY)
    for spec in streams.lanes("spring", "main"):
        await world.bus.create_consumer(spec)
    await world.set_campaign(status="running")
    await world.until(lambda: len(worker._intake.open) == 5)
    await worker.stop()
