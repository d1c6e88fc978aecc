import pytest

from analytics.bounces.base import Notice, Report
from analytics.bounces.correlation import Ours
from analytics.bounces.telling import events
from events import ids

ANN = "Ann@example.org"
MAIL = ids.mail_id("autumn", "ann@example.org")
PROVEN = Ours("autumn", MAIL, "return_path")
HARD = {
    "action": "failed",
    "code": 550,
    "status": "5.1.1",
    "text": "no such user",
    "failure_class": "hard",
    "hard": True,
}


def report(*notices, kind="bounce", **more):
    return Report(kind=kind, notices=notices, **more)


def test_a_hard_bounce():
    [event] = events(report(Notice(recipient=ANN, **HARD)), PROVEN)
    assert (event.event, event.bounce, event.recipient, event.reference) == ("bounced", "hard", ANN, f"{MAIL}.autumn")
    assert (event.code, event.enhanced, event.text) == (550, "5.1.1", "no such user")


@pytest.mark.parametrize(
    ("action", "name", "bounce"),
    [
        ("failed", "bounced", "soft"),
        ("delayed", "deferred", None),
        ("delivered", "delivered", None),
        ("relayed", "delivered", None),
    ],
)
def test_what_else_became_of_it(action, name, bounce):
    [event] = events(report(Notice(recipient=ANN, action=action)), PROVEN)
    assert (event.event, event.bounce) == (name, bounce)


def test_of_several_recipients_ours_counts():
    told = events(report(Notice(recipient="bob@example.org", **HARD), Notice(recipient=ANN, action="delayed")), PROVEN)
    assert [(event.event, event.recipient) for event in told] == [("deferred", ANN)]
    assert (
        events(report(Notice(recipient="a@x.example", **HARD), Notice(recipient="b@x.example", **HARD)), PROVEN) == ()
    )


def test_a_forwarded_mail_bounces_for_who_had_it_forwarded():
    [event] = events(report(Notice(recipient="ann@elsewhere.example", original=ANN, **HARD)), PROVEN)
    assert event.recipient == ANN
    [event] = events(report(Notice(recipient="ann@elsewhere.example", **HARD)), PROVEN)
    assert (event.recipient, event.reference) == ("", f"{MAIL}.autumn")  # which mail is known all the same


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("abuse", "complained"),
        ("fraud", "complained"),
        ("", "complained"),
        ("opt-out", "unsubscribed"),
        ("not-spam", None),
        ("auth-failure", None),
    ],
)
def test_types_of_feedback(kind, name):
    told = events(report(kind="complaint", feedback_type=kind), PROVEN)
    assert [event.event for event in told] == ([name] if name else [])


@pytest.mark.parametrize("ours", [None, Ours("autumn", MAIL, "message_id")])
def test_what_is_not_proven_tells_nothing(ours):
    assert events(report(Notice(recipient=ANN, **HARD)), ours) == ()


@pytest.mark.parametrize("kind", ["auto_reply", "unknown"])
def test_an_answering_machine_tells_nothing(kind):
    assert events(report(kind=kind), PROVEN) == ()


def test_the_same_notice_twice_tells_the_same():
    first, again = (events(report(Notice(recipient=ANN, **HARD)), PROVEN) for _ in range(2))
    assert first[0].dedupe == again[0].dedupe
