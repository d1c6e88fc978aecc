from hypothesis import given
from hypothesis import strategies as st

from events import facts, states


def mail(attempt, mail_id="m"):
    return ("spring", 1.0, mail_id, attempt, "jo@example.org", "main", "gmail")


def accepted(attempt):
    return facts.EmailAccepted(*mail(attempt), 1.0)


def failed(attempt):
    return facts.EmailFailed(*mail(attempt), "block", 550, "5.7.1", "no")


def in_doubt(attempt):
    return facts.EmailInDoubt(*mail(attempt))


def requeued(attempt):
    return facts.EmailRequeued(*mail(attempt), "replay")


def resolved(attempt, resolution):
    return facts.DoubtResolved(*mail(attempt), resolution)


def state(*told):
    (fact,) = states.standing(told).values()
    return states.state_of(fact)


def test_the_highest_attempt_decides():
    assert state(failed(1), requeued(2), accepted(2)) == "accepted"
    assert state(accepted(1), failed(2)) == "failed"


def test_a_mail_that_was_put_back_is_requeued_until_its_next_outcome():
    assert state(failed(1), requeued(2)) == "requeued"
    assert state(failed(1), requeued(2), in_doubt(2)) == "in_doubt"


def test_what_is_known_first_hand_beats_doubt_whatever_came_first():
    assert state(in_doubt(1), failed(1)) == state(failed(1), in_doubt(1)) == "failed"
    assert state(accepted(1), in_doubt(1)) == "accepted"


def test_evidence_resolves_a_doubt_and_acceptance_beats_what_somebody_thought():
    assert state(in_doubt(1), resolved(1, "accepted")) == "accepted"
    assert state(in_doubt(1), resolved(1, "not_sent")) == "failed"
    assert state(in_doubt(1), resolved(1, "not_sent"), resolved(1, "accepted")) == "accepted"


def test_mails_are_told_apart():
    told = [facts.EmailExpired(*mail(1, "a")), facts.EmailInDoubt(*mail(1, "b"))]
    assert {name: states.state_of(fact) for name, fact in states.standing(told).items()} == {
        "a": "expired",
        "b": "in_doubt",
    }


_FACTS = st.builds(
    lambda make, attempt: make(attempt),
    st.sampled_from(
        [accepted, failed, in_doubt, requeued, lambda n: resolved(n, "accepted"), lambda n: resolved(n, "not_sent")]
    ),
    st.integers(1, 4),
)


@given(st.lists(_FACTS, min_size=1), st.randoms(use_true_random=False))
def test_the_order_of_facts_does_not_matter(told, random):
    shuffled = random.sample(told, len(told))
    assert state(*told) == state(*shuffled)
