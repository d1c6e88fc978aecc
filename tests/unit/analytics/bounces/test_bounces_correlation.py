import pytest

from analytics.bounces.base import Report, Returned
from analytics.bounces.correlation import Ours, identify
from events import ids
from events.tokens import Checker, Signer
from events.verp import Verp, VerpChecker, mark_of

SECRET, STRANGERS = "a secret of ours, long", "a secret of others, long"
MAIL = ids.mail_id("autumn", "ann@example.org")
VERP = VerpChecker([SECRET])
LINKS = Checker([SECRET], "unsubscribe")


def campaign_of(mark):
    return {mark_of("autumn"): "autumn"}.get(mark)


def who(sent_to=(), message_id="", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    report = Report(kind="bounce", sent_to=tuple(sent_to), returned=Returned(message_id=message_id, headers=named))
    return identify(report, VERP, LINKS, campaign_of)


def return_path(secret=SECRET, campaign="autumn"):
    return Verp(secret).address("bounces@news.example.com", campaign, MAIL)


def link(secret=SECRET, purpose="unsubscribe"):
    return f"<https://news.example.com/u/{Signer(secret, purpose).token('autumn', MAIL)}>"


def test_the_return_path_proves_it():
    assert who([return_path().upper()]) == Ours("autumn", MAIL, "return_path")
    assert who(return_path=f"<{return_path()}>") == Ours("autumn", MAIL, "return_path")
    assert who(["postmaster@news.example.com", return_path()]).proven


def test_the_unsubscribe_link_of_the_mail_that_is_given_back_proves_it():
    assert who(list_unsubscribe=link()) == Ours("autumn", MAIL, "link")
    mailto = f"<mailto:leave@example.com?subject={Signer(SECRET, 'unsubscribe').token('autumn', MAIL)}>"
    assert who(list_unsubscribe=f"{link(STRANGERS)}, {mailto}") == Ours("autumn", MAIL, "link")


def test_a_message_id_says_which_mail_and_proves_nothing():
    found = who(message_id=f"{MAIL}.autumn@news.example.com")
    assert found == Ours("autumn", MAIL, "message_id")
    assert not found.proven


@pytest.mark.parametrize(
    "report",
    [
        {"sent_to": [return_path(STRANGERS)]},
        {"sent_to": [return_path(campaign="unknown")]},
        {"list_unsubscribe": link(STRANGERS)},
        {"list_unsubscribe": link(purpose="track")},
        {"list_unsubscribe": "<https://other.example/u/abc>"},
        {"message_id": "20260101.1@mx.example"},
        {"message_id": f"{MAIL}.-no-id-@news.example.com"},
        {},
    ],
)
def test_what_is_not_ours(report):
    assert who(**report) is None
