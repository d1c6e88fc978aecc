import pytest

from events import facts, subjects

ACCEPTED = facts.EmailAccepted("spring", 1.0, "mail", 2, "a@example.org", "main", "gmail", latency_seconds=0.5)
EXPIRED = facts.EmailExpired("spring", 1.0, "mail", 2, "a@example.org", "main", "gmail")
PLANNED = facts.BatchPlanned("spring", 1.0, batch=3, planned=10)
QUEUED = facts.BatchQueued("spring", 1.0, batch=3, queued=10, failed=0, suppressed=0, raw_bytes=1, queued_bytes=1)


def test_all_outcomes_of_one_attempt_share_an_id_so_that_only_one_is_stored():
    assert facts.id_of(ACCEPTED) == facts.id_of(EXPIRED) == "mail/2/outcome"


def test_facts_of_a_batch_and_of_a_campaign_have_ids_of_their_own():
    closed = facts.CampaignClosed("spring", 1.0, status="finished", cancelled=0)
    ids = [facts.id_of(fact) for fact in (PLANNED, QUEUED, closed)]
    assert ids == ["spring/3/batch_planned", "spring/3/batch_queued", "spring/0/campaign_closed"]


@pytest.mark.parametrize(("fact", "kind"), [(ACCEPTED, "accepted"), (EXPIRED, "expired"), (PLANNED, "batch_planned")])
def test_the_type_of_a_fact_stands_in_its_subject(fact, kind):
    assert facts.type_of(fact) == kind
    assert facts.subject_of(fact) == subjects.event(kind, "spring")
