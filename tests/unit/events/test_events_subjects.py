import pytest

from events import providers, streams, subjects
from events.memory_stream import matches

DUE = subjects.mail_due("main", "gmail", "spring")
WAITING = subjects.mail_waiting("spring", "main", "gmail", "soft", "abc")


@pytest.mark.parametrize(
    ("filter_subject", "subject"),
    [
        (subjects.BATCHES, subjects.batches("spring")),
        (subjects.MAIL_DUE, DUE),
        (subjects.mail_due_of_campaign("spring"), DUE),
        (subjects.MAIL_WAITING, WAITING),
        (subjects.mail_waiting_of_campaign("spring"), WAITING),
        (subjects.EVENTS, subjects.event("accepted", "spring")),
        (subjects.events_of_campaign("spring"), subjects.event("accepted", "spring")),
        (subjects.DLQ, subjects.dlq("spring", "gmail", "soft")),
        (subjects.dlq_of_campaign("spring"), subjects.dlq("spring", "gmail", "soft")),
    ],
)
def test_a_subject_falls_under_its_filter(filter_subject, subject):
    assert matches(filter_subject, subject)


@pytest.mark.parametrize(
    ("filter_subject", "subject"),
    [
        (subjects.mail_due_of_campaign("spring"), subjects.mail_due("main", "gmail", "spring-2")),
        (
            subjects.mail_waiting_of_campaign("spring"),
            subjects.mail_waiting("spring-2", "main", "gmail", "soft", "abc"),
        ),
        (subjects.events_of_campaign("spring"), subjects.event("accepted", "summer")),
        (subjects.MAIL_DUE, WAITING),
        (subjects.MAIL_WAITING, DUE),
    ],
)
def test_a_subject_does_not_fall_under_the_filter_of_another(filter_subject, subject):
    assert not matches(filter_subject, subject)


def test_every_subject_belongs_to_exactly_one_stream():
    own = [DUE, WAITING, subjects.batches("a"), subjects.CLAIMS, subjects.event("a", "b"), subjects.dlq("a", "b", "c")]
    for subject in own:
        assert sum(matches(filtered, subject) for stream in streams.STREAMS for filtered in stream.subjects) == 1


def test_the_lanes_of_a_campaign_cover_every_provider_without_overlap():
    lanes = streams.lanes("spring", "main")
    for provider in providers.PROVIDERS:
        due = subjects.mail_due("main", provider, "spring")
        assert [matches(lane.filter_subject, due) for lane in lanes].count(True) == 1


def test_claims_are_remembered_longer_than_a_mail_is_awaited():
    assert streams.DEDUPLICATION_SECONDS >= 3 * streams.ACK_WAIT_SECONDS
    assert streams.CLAIMS.max_age_seconds >= streams.DEDUPLICATION_SECONDS


@pytest.mark.parametrize("ack_wait", [6.0, streams.ACK_WAIT_SECONDS, 600.0])
def test_whatever_the_ack_wait_a_hold_is_extended_in_time_and_a_redelivered_mail_meets_its_claim(ack_wait):
    timing = streams.Timing(ack_wait)
    assert 3 * timing.extend_after_seconds <= timing.ack_wait_seconds
    assert timing.extend_after_seconds * 2 < timing.hold_seconds < timing.ack_wait_seconds
    assert timing.ack_wait_seconds * 2 <= timing.remembered_seconds < timing.deduplication_seconds
