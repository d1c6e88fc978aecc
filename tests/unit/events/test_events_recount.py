from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from events import facts, recount, states
from events.bus import Message
from events.recount import Recount, Standing


def about(mail_id, attempt):
    return ("spring", 1.0, mail_id, attempt, "jo@example.org", "main", "gmail")


MADE = {
    "accepted": lambda *who: facts.EmailAccepted(*who, 1.0),
    "bounced": lambda *who: facts.EmailBounced(*who, "hard", 550, "", ""),
    "failed": lambda *who: facts.EmailFailed(*who, "block", 550, "", ""),
    "deferred": lambda *who: facts.EmailDeferred(*who, "soft", 450, "", "", 2.0),
    "in_doubt": facts.EmailInDoubt,
    "requeued": facts.EmailRequeued,
    "expired": facts.EmailExpired,
    "not_sent": lambda *who: facts.DoubtResolved(*who, "not_sent"),
}


def make(kind, mail_id, attempt):
    return MADE[kind](*about(mail_id, attempt))


TOLD = st.lists(
    st.builds(make, st.sampled_from(list(MADE)), st.sampled_from(["ab", "a", "b2", "zz"]), st.integers(0, 12)),
    max_size=30,
)


def counted(*told):
    found = Recount()
    for fact in told:
        found.add(fact)
    return found


@given(TOLD)
def test_mails_are_where_the_plain_rule_puts_them(told):
    standing = states.standing(told)
    found = {mail: one for part in counted(*told).parts() for mail, one in part.items()}
    assert found.keys() == standing.keys()
    for mail, one in found.items():
        best = states.rank(standing[mail])
        same = {states.state_of(fact) for fact in told if fact.mail_id == mail and states.rank(fact) == best}
        assert (one.attempt, one.state in same) == (best[0], True)


def test_batches_that_were_stated_twice_are_planned_once():
    batch = facts.BatchPlanned("spring", 1.0, 1, 10)
    assert counted(batch, batch, facts.BatchPlanned("spring", 1.0, 2, 5)).planned == 15


def test_a_campaign_that_was_reopened_is_not_closed_until_it_is_closed_again():
    closed = facts.CampaignClosed("spring", 1.0, "finished", 0)
    again = facts.CampaignReopened("spring", 2.0, 1)
    assert counted(closed).closed == closed
    assert counted(closed, again).closed is None
    last = facts.CampaignClosed("spring", 3.0, "finished", 0, 1)
    assert counted(closed, again, last).closed == last


def test_what_events_has_forgotten_is_noticed():
    whole = facts.CampaignPlanned("spring", 1.0, 2, 15, 0, 0)
    batches = [facts.BatchPlanned("spring", 1.0, 1, 10), facts.BatchPlanned("spring", 1.0, 2, 5)]
    assert counted(whole, *batches).is_complete
    assert not counted(whole, batches[1]).is_complete
    assert not counted(whole).is_complete
    assert counted().is_complete


async def test_a_campaign_is_recounted_from_events_alone(memory_bus):
    told = [make("deferred", "a", 1), make("accepted", "a", 2), make("in_doubt", "b", 1)]
    other = facts.EmailAccepted("summer", *about("c", 1)[1:], 1.0)
    await memory_bus.publish(
        "EVENTS", [Message(facts.subject_of(fact), facts.encode(fact)) for fact in [*told, other, other]]
    )
    found = await recount.of_campaign(memory_bus, "spring")
    assert found.last_sequence == 5
    assert [found.part(name) for name in found.part_names] == [
        {"a": Standing(2, "accepted")},
        {"b": Standing(1, "in_doubt")},
    ]
    assert Counter(one.state for part in found.parts() for one in part.values()) == {"accepted": 1, "in_doubt": 1}
