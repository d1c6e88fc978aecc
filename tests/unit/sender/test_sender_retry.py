"""What happens next with a mail whose try failed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.schemas import Attempt, Mail
from sender import retry
from sender.claims import claimable_from
from sender.drivers.base import Accepted, NotTried, Refused, Reply, Unknown
from sender.retry import Bounce, Done, Doubt, Expire, GiveUp, RetryAt, Rules
from sender.settings import RetryPolicy

NOW = 1_800_000_000.0
REPLY = Reply(451, "4.2.2", "try later")
POLICY = RetryPolicy()
RULES = Rules(POLICY, "at_most_once", None)


def mail(charged=0, queued_at=NOW, attempt=1):
    return Mail("m", "a@example.org", attempt, queued_at, b"", charged=charged)


def refused(failure_class, hint=None):
    return Refused(failure_class, "reason", REPLY, hint)


def decide(outcome, *, charged=0, rules=RULES, random=0.5, queued_at=NOW):
    return retry.decide(outcome, mail(charged, queued_at), rules, NOW, lambda: random)


def test_an_accepted_mail_is_done_at_the_moment_of_its_acceptance():
    assert decide(Accepted(REPLY, NOW - 2)) == Done(REPLY, NOW - 2)


def test_a_hard_bounce_is_never_retried():
    assert decide(refused("hard")) == Bounce("hard", REPLY)


def test_a_block_is_given_up_at_once():
    assert decide(refused("block")) == GiveUp("block", "reason", REPLY)


def test_a_soft_bounce_is_retried_after_an_hour():
    assert decide(refused("soft")) == RetryAt(NOW + 3_600, "soft", 1, REPLY)


def test_a_transient_failure_waits_a_random_share_of_a_doubling_bound():
    waits = [decide(refused("transient"), charged=n, random=0.5).at - NOW for n in range(3)]
    assert waits == [30, 60, 120]


def test_the_bound_of_transient_waits_is_two_hours():
    rules = RULES._replace(retry=RetryPolicy(limit=50))
    assert decide(refused("transient"), charged=40, rules=rules, random=0.999).at - NOW <= 7_200


@pytest.mark.parametrize(("failure_class", "wait"), [("transient", 330), ("soft", 3_600), ("throttled", 315)])
def test_no_try_comes_before_the_server_s_own_hint(failure_class, wait):
    assert decide(refused(failure_class, 300.0)).at - NOW == wait


def test_an_absurd_hint_is_believed_up_to_four_hours():
    assert decide(refused("soft", 1e9)).at - NOW == 14_400


@pytest.mark.parametrize("failure_class", ["transient", "soft"])
def test_after_three_retries_a_mail_is_given_up(failure_class):
    assert isinstance(decide(refused(failure_class), charged=2), RetryAt)
    assert decide(refused(failure_class), charged=3) == GiveUp(failure_class, "reason", REPLY)


def test_a_throttled_try_is_not_charged_however_often_it_happens():
    decision = decide(refused("throttled"), charged=3)
    assert isinstance(decision, RetryAt)
    assert decision.charged == 3


def test_a_mail_throttled_for_a_day_is_given_up():
    assert decide(refused("throttled"), queued_at=NOW - 86_400) == GiveUp("throttled", "reason", REPLY)


def test_what_a_mail_waited_for_its_campaign_to_start_does_not_count_as_throttling():
    rules = RULES._replace(started_at=NOW - 60)
    assert isinstance(decide(refused("throttled"), rules=rules, queued_at=NOW - 90_000), RetryAt)


def test_a_mail_that_was_not_tried_waits_a_little_and_is_not_charged():
    decision = decide(NotTried("connection reset"), charged=3)
    assert decision == RetryAt(NOW + 30, "transient", 3, Reply(0, "", "connection reset"))


@pytest.mark.parametrize("outcome", [refused("transient"), refused("soft"), refused("throttled"), NotTried("x")])
def test_a_mail_expires_when_its_next_try_would_come_after_the_deadline(outcome):
    assert decide(outcome, rules=RULES._replace(deadline=NOW + 1)) == Expire()
    assert isinstance(decide(outcome, rules=RULES._replace(deadline=NOW + 90_000)), RetryAt)


def test_what_is_in_doubt_is_left_under_at_most_once():
    assert decide(Unknown("cut off")) == Doubt("cut off", None, 1)


def test_what_is_in_doubt_is_tried_again_under_at_least_once():
    assert decide(Unknown("cut off"), rules=RULES._replace(in_doubt="at_least_once")) == Doubt("cut off", NOW + 30, 1)


def test_doubts_are_risked_no_more_often_than_the_limit_allows():
    assert decide(Unknown("x"), charged=3, rules=RULES._replace(in_doubt="at_least_once")).retry_at is None


def test_a_doubt_is_not_tried_again_after_the_deadline():
    rules = Rules(POLICY, "at_least_once", NOW + 10)
    assert decide(Unknown("x"), rules=rules).retry_at is None


outcomes = st.one_of(
    st.builds(Accepted, st.just(REPLY), st.floats(0, NOW)),
    st.builds(
        Refused,
        st.sampled_from(["transient", "throttled", "soft", "hard", "block"]),
        st.just("reason"),
        st.just(REPLY),
        st.none() | st.floats(-10, 1e9),
    ),
    st.builds(Unknown, st.just("x")),
    st.builds(NotTried, st.just("x")),
)


@given(
    outcome=outcomes,
    charged=st.integers(0, 6),
    deadline=st.none() | st.floats(NOW - 10, NOW + 100_000),
    in_doubt=st.sampled_from(["at_most_once", "at_least_once"]),
    random=st.floats(0, 1, exclude_max=True),
)
def test_no_retry_lies_in_the_past_or_behind_the_deadline_or_beyond_the_limit(
    outcome, charged, deadline, in_doubt, random
):
    decision = decide(outcome, charged=charged, rules=Rules(POLICY, in_doubt, deadline), random=random)
    at = getattr(decision, "at", None) if isinstance(decision, RetryAt) else getattr(decision, "retry_at", None)
    if at is not None:
        assert at >= NOW
        assert deadline is None or at < deadline
        assert charged <= decision.charged <= max(POLICY.limit, charged)
    if isinstance(outcome, Refused) and outcome.failure_class == "hard":
        assert isinstance(decision, Bounce)
    assert isinstance(decision, Done) == isinstance(outcome, Accepted)


@given(charged=st.integers(0, 60), random=st.floats(0, 1, exclude_max=True))
def test_full_jitter_stays_below_the_doubling_bound(charged, random):
    rules = RULES._replace(retry=RetryPolicy(limit=100))
    wait = decide(refused("transient"), charged=charged, rules=rules, random=random).at - NOW
    assert 0 <= wait <= min(7_200, 60 * 2**charged)


def test_a_mail_s_history_says_since_when_it_may_have_been_claimed():
    retried = Mail("m", "a@example.org", 2, NOW, b"", history=(Attempt(1, NOW + 50, "soft", 452, "", ""),))
    assert (claimable_from(mail()), claimable_from(retried)) == (NOW, NOW + 50)
