"""The short way of an accepted mail says exactly what the long one says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import ids
from events.bus import Delivery
from events.compression import Decompressor
from events.schemas import Campaign, Mail
from sender import outcomes, retry
from sender.drivers.base import Accepted, Reply
from sender.lanes import Held, Lane
from sender.retry import Rules
from sender.settings import RetryPolicy

RULES = Rules(RetryPolicy(), "at_most_once", None)
REPLIES = st.builds(Reply, st.integers(200, 299), st.text(max_size=10), st.text(max_size=1_000))


@given(
    reply=REPLIES,
    at=st.floats(0, 2e9),
    attempt=st.integers(1, 9),
    queued_at=st.floats(0, 2e9),
    recipient=st.text(max_size=30),
    started_at=st.none() | st.floats(0, 2e9),
)
def test_an_accepted_mail_is_recorded_as_the_decision_says(reply, at, attempt, queued_at, recipient, started_at):
    campaign = Campaign("spring", "Spring", "running", "main", "b@example.com", 0.0, started_at=started_at)
    lane = Lane(campaign, "gmail", None, Decompressor(b""))
    mail = Mail(ids.mail_id("spring", recipient), recipient, attempt, queued_at, b"")
    held = Held(lane, Delivery(b"", "", 1, 1, ""), mail, 0.0)
    outcome = Accepted(reply, at)
    expected = outcomes.to_record(retry.decide(outcome, mail, RULES, at, lambda: 0.5), held, at)
    assert outcomes.accepted(held, outcome) == expected


@pytest.mark.parametrize(("queued_at", "started_at", "latency"), [(100, None, 50), (100, 140, 10), (145, 140, 5)])
def test_the_latency_of_a_scheduled_campaign_counts_from_its_start(queued_at, started_at, latency):
    campaign = Campaign("spring", "Spring", "running", "main", "b@example.com", 0.0, started_at=started_at)
    lane = Lane(campaign, "gmail", None, Decompressor(b""))
    held = Held(lane, Delivery(b"", "", 1, 1, ""), Mail("m", "a@example.org", 1, queued_at, b""), 0.0)
    assert outcomes.accepted(held, Accepted(Reply(250, "", ""), 150.0)).fact.latency_seconds == latency
