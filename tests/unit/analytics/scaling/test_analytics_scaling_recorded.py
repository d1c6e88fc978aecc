"""What would be decided about campaigns that were really sent: recordings of `python -m benchmarks autoscaling --record`, and of
`jetpost demo`.
"""

from pathlib import Path

import pytest
from msgspec.structs import replace

from analytics.scaling import gathering, memory
from analytics.scaling.deciding import decide
from analytics.scaling.decision import State
from analytics.scaling.memory import Memory
from benchmarks.autoscaling import recording

DATA = Path(__file__).parents[3] / "data" / "scaling"


def decisions(name, **changed):
    """About each look of a recording, with other settings where some are given."""
    recorded = recording.read(DATA / f"{name}.json")
    settings, known, state, found = replace(recorded.settings, **changed), Memory(), State(), []
    for look in recorded.looks:
        known = memory.remember(known, look.seen())
        decision, state = decide(gathering.situation(look.seen(), known, settings), settings, state)
        found.append(decision)
    return found


def test_a_campaign_with_a_deadline_gets_more_senders_as_it_turns_out_how_slow_they_are_and_then_none():
    found = decisions("deadline")
    assert next(one.wanted for one in found if one.needed) == 2, "thought to send 100 mails/s"
    assert max(one.wanted for one in found) == 4, "they sent 43"
    assert (found[-1].wanted, found[-1].reason) == (0, "idle")
    assert not any(one.late for one in found)


def test_with_fewer_senders_than_it_takes_it_is_told_at_once_that_it_will_be_late():
    found = decisions("deadline", max_senders=1)
    late = [one for one in found if one.reason == "at_max"]
    assert late[0] is next(one for one in found if one.needed)
    assert all(one.wanted == 1 for one in late)
    assert late[0].late["bench"] > 60


@pytest.mark.parametrize(("name", "took"), [("limited", 100.4), ("throttled", 189.3)])
def test_a_campaign_that_limits_make_late_gets_no_second_sender_and_it_is_told_how_late_it_will_be(name, took):
    found = decisions(name)
    assert max(one.wanted for one in found) == 1
    limited = [one for one in found if one.reason == "provider_limited"]
    assert len(limited) > len(found) / 2
    foreseen = [one.late["bench"] for one in limited[len(limited) // 2 :]]
    assert all(seconds == pytest.approx(took - 30.0, rel=0.15) for seconds in foreseen)


def test_a_campaign_with_hours_left_and_all_kinds_of_mailboxes_wants_one_sender():
    found = decisions("demo")
    assert {one.wanted for one in found} == {1}
    assert not any(one.late or one.limited for one in found)
