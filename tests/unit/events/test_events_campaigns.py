"""Campaigns change status only as they may, and nobody overwrites anybody."""

import asyncio

import msgspec
import pytest

from events import campaigns, schemas, streams, subjects
from events.bus import Message
from events.schemas import Campaign


def campaign(status="running", **more):
    return Campaign(
        id="spring", name="Spring", status=status, pool="relay", return_path="b@x.example", created_at=1.0, **more
    )


@pytest.fixture
async def stored(memory_bus):
    bucket = await memory_bus.bucket(streams.CAMPAIGNS)
    await bucket.put("spring", schemas.encode_campaign(campaign()))
    return bucket


@pytest.mark.parametrize("status", ["planning", "running"])
def test_resuming_leads_back_to_where_pausing_began(status):
    assert campaigns.resume(campaigns.pause(campaign(status)), 5.0) == campaign(status)


def test_a_pause_by_the_system_says_why_until_it_is_over():
    paused = campaigns.pause(campaign(), reason="past_due", note="It missed its start.")
    assert (paused.pause_reason, paused.pause_note) == ("past_due", "It missed its start.")
    assert campaigns.resume(paused, 5.0) == campaign()
    assert campaigns.cancel(paused).pause_note == ""


def test_pausing_twice_keeps_the_way_back():
    once = campaigns.pause(campaign("planning"))
    assert campaigns.pause(once) == once


@pytest.mark.parametrize("status", ["cancelled", "finished"])
@pytest.mark.parametrize("transition", [campaigns.pause, lambda campaign: campaigns.resume(campaign, 5.0)])
def test_what_has_ended_is_neither_paused_nor_resumed(status, transition):
    with pytest.raises(campaigns.WrongStatus, match=status):
        transition(campaign(status))


def test_a_finished_campaign_cannot_be_cancelled():
    with pytest.raises(campaigns.WrongStatus):
        campaigns.cancel(campaign("finished"))


def test_an_audience_read_to_its_end_does_not_wake_a_paused_campaign():
    paused = campaigns.pause(campaign("planning"))
    counted = campaigns.planned(paused, recipients=9, batches=1, duplicates=2, rejected=3)
    assert (counted.status, counted.resume_to, counted.planned) == ("paused", "running", 9)


def test_an_audience_read_to_its_end_starts_a_planning_campaign():
    assert (
        campaigns.planned(campaign("planning"), recipients=9, batches=1, duplicates=0, rejected=0).status == "running"
    )


def test_a_cancelled_campaign_stays_cancelled_when_its_last_mail_is_settled():
    ended = campaigns.finish(campaign("cancelled"), at=5.0)
    assert (ended.status, ended.finished_at) == ("cancelled", 5.0)


async def test_a_change_is_decided_anew_on_what_someone_else_wrote_meanwhile(memory_bus, stored):
    attempts = []

    def slow(before):
        attempts.append(before)
        return msgspec.structs.replace(before, duplicates=before.duplicates + 1)

    await asyncio.gather(*(campaigns.change(memory_bus, "spring", slow) for _ in range(5)))
    assert (await campaigns.get(memory_bus, "spring")).duplicates == 5


async def test_an_unknown_campaign_is_not_found(memory_bus):
    with pytest.raises(campaigns.CampaignNotFound, match="nowhere"):
        await campaigns.pause_campaign(memory_bus, "nowhere")


async def test_cancelling_takes_due_and_waiting_mails_of_this_campaign_alone_out_of_the_queue(memory_bus, stored):
    due = [Message(subjects.mail_due("relay", "gmail", name), b"") for name in ("spring", "spring", "autumn")]
    waiting = subjects.mail_waiting("spring", "relay", "gmail", "soft", "m1")
    later = Message(waiting, b"", due_at=9e9, target=due[0].subject)
    await memory_bus.publish("MAIL", [*due, later])

    cancelled = await campaigns.cancel_campaign(memory_bus, "spring")

    assert (cancelled.campaign.status, cancelled.removed) == ("cancelled", 3)
    assert (await memory_bus.stream_state("MAIL")).messages == 1


async def test_campaigns_are_listed_the_newest_first(memory_bus, stored):
    newer = msgspec.structs.replace(campaign(), id="summer", created_at=2.0)
    await stored.put("summer", schemas.encode_campaign(newer))
    assert [found.id for found in await campaigns.all_of(memory_bus)] == ["summer", "spring"]
