import pytest
from prometheus_client import REGISTRY

from analytics import queues
from events import streams, subjects
from events.bus import Message
from events.schemas import Campaign


async def publish(bus, stream, *names):
    await bus.publish(stream, [Message(name, b"") for name in names])


@pytest.fixture
async def filled_bus(memory_bus, clock):
    await memory_bus.create_consumer(streams.lane("spring", "main", "gmail"))
    due = subjects.mail_due("main", "gmail", "spring")
    await publish(memory_bus, "MAIL", due, due, subjects.mail_due("main", "yahoo", "summer"))
    waiting = Message(
        subjects.mail_waiting("spring", "main", "gmail", "soft", "m"), b"", due_at=clock() + 60, target=due
    )
    await memory_bus.publish("MAIL", [waiting])
    await publish(memory_bus, "BATCHES", subjects.batches("spring"))
    await publish(memory_bus, "DLQ", subjects.dlq("spring", "gmail", "block"), subjects.dlq("spring", "gmail", "soft"))
    await publish(memory_bus, "EVENTS", *[subjects.event("accepted", "spring")] * 3)
    return memory_bus


async def test_everything_in_the_queues_is_counted(filled_bus):
    measured = await queues.measure(filled_bus)
    assert measured.due == {("main", "gmail", "spring"): 2, ("main", "yahoo", "summer"): 1}
    assert measured.due_of("spring") == 2
    assert (measured.waiting, measured.batches, measured.given_up) == (1, {"spring": 1}, {"block": 1, "soft": 1})
    assert (measured.ingest_lag, measured.last_event) == (3, 3)


async def test_mails_in_a_senders_hands_still_count_as_due(filled_bus):
    consumer = await filled_bus.consumer("MAIL", streams.lane_name("spring", "main", "gmail"))
    await consumer.fetch(2, 1.0)
    assert (await queues.measure(filled_bus)).due_of("spring") == 2


async def test_gauges_show_what_was_measured_and_forget_lanes_that_are_empty(filled_bus):
    def depth(provider):
        return REGISTRY.get_sample_value("queue_depth", {"pool": "main", "provider": provider})

    queues.show(await queues.measure(filled_bus))
    assert (depth("gmail"), depth("yahoo")) == (2, 1)
    await filled_bus.purge("MAIL", subjects.mail_due("main", "gmail", "spring"))
    queues.show(await queues.measure(filled_bus))
    assert (depth("gmail"), depth("yahoo")) == (None, 1)
    assert REGISTRY.get_sample_value("retry_queue_size") == 1
    assert REGISTRY.get_sample_value("dlq_size", {"failure_class": "soft"}) == 1
    assert REGISTRY.get_sample_value("batches_waiting") == 1
    assert REGISTRY.get_sample_value("ingest_lag_events") == 3


async def test_batches_of_a_campaign_that_was_moved_between_classes_are_counted_together(filled_bus):
    await publish(filled_bus, "BATCHES", subjects.batches("spring", "urgent"))
    assert (await queues.measure(filled_bus)).batches == {"spring": 2}


@pytest.mark.parametrize("held", [{"status": "running", "starts_at": 9.0}, {"status": "paused"}])
async def test_mails_of_a_campaign_that_is_paused_or_waits_for_its_start_are_not_due(filled_bus, held):
    campaign = Campaign("spring", "Spring", pool="main", return_path="b@example.com", created_at=1.0, **held)
    queues.show(await queues.measure(filled_bus), [campaign])
    assert REGISTRY.get_sample_value("queue_depth", {"pool": "main", "provider": "gmail"}) is None
    assert REGISTRY.get_sample_value("queue_depth", {"pool": "main", "provider": "yahoo"}) == 1


def test_gauges_show_what_waits_for_its_start_and_why_campaigns_are_paused():
    def gauge(name, **labels):
        return REGISTRY.get_sample_value(name, labels)

    def campaign(status, **more):
        return Campaign("c", "C", status, "main", "b@example.com", 1.0, **more)

    queues.show_campaigns(
        [
            campaign("running"),
            campaign("running", starts_at=9.0),
            campaign("planning", starts_at=9.0),
            campaign("cancelled", starts_at=9.0, finished_at=5.0),
            campaign("paused", starts_at=9.0, pause_reason="past_due"),
            campaign("paused"),
        ]
    )
    assert gauge("campaigns_scheduled") == 2
    assert (gauge("campaigns_paused", reason="past_due"), gauge("campaigns_paused", reason="person")) == (1, 1)
    queues.show_campaigns([])
    assert gauge("campaigns_paused", reason="past_due") is None
