from typing import get_args

import esps
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics import rows
from analytics.callbacks.base import Event, EventName
from analytics.hearing import meaning
from analytics.hearing.meaning import About, fact_of
from events import facts, ids
from events.esps import Reference, read_reference
from events.facts import EmailClicked, EmailComplained, EmailDelivered, EmailReturned

AT = 1_800_000_000.0
ADA = "ada@example.com"
MAIL = ids.mail_id("spring", ADA)
REFERENCE = Reference("spring", MAIL)
ABOUT = About(REFERENCE, "news", ("https://shop.example/", "https://shop.example/sale"))
WHO = ("spring", AT, MAIL, ADA)


def fact(name, suppress=(), about=ABOUT, **fields):
    event = Event(**{"event": name, "recipient": ADA, "at": AT, "dedupe": "x/1", **fields})
    return fact_of(event, about, "mailgun", AT + 5, suppress)


@pytest.mark.parametrize(
    "text",
    [
        f"{MAIL}.spring-sale@news.example.com",
        f"<{MAIL}.spring-sale@news.example.com>",
        f"{MAIL}.spring-sale",
        f"{MAIL}_spring-sale",
    ],
)
def test_a_reference_of_ours_is_known_in_all_its_forms(text):
    assert read_reference(text) == ("spring-sale", MAIL)


@pytest.mark.parametrize(
    "text",
    ["", "spring", f"{MAIL}", f"{MAIL}.", f"{MAIL}.Spring", f"{MAIL.upper()}.spring", f"x{MAIL}.spring@a", "a.b@c"],
)
def test_what_is_none_of_ours_is_no_reference(text):
    assert read_reference(text) is None


def test_each_word_of_the_esp_is_a_fact_of_ours():
    assert fact("delivered") == EmailDelivered(*WHO, "mailgun")
    assert fact("complained") == EmailComplained(*WHO, "mailgun")
    assert fact("unsubscribed").scope == fact("resubscribed").scope == "all"
    assert fact("deferred") is None


def test_leaving_a_group_of_the_esp_is_leaving_the_list_of_the_campaign():
    left = fact("unsubscribed", group="17")
    assert (left.scope, left.list) == ("list", "news")
    assert fact("unsubscribed", group="17", about=About(REFERENCE, "", ())).scope == "all"


@pytest.mark.parametrize(
    ("event", "kind", "reason"),
    [
        ({"bounce": "hard", "code": 550, "enhanced": "5.1.1"}, "hard", "hard_bounce"),
        ({"bounce": "soft", "code": 552, "enhanced": "5.2.2"}, "soft", ""),
        ({"bounce": "soft", "code": 550, "enhanced": "5.7.1", "text": "blocked by policy"}, "soft", ""),
        ({"bounce": "soft", "code": 550, "enhanced": "5.1.1", "text": "user unknown"}, "soft", ""),
        ({"event": "rejected"}, "rejected", ""),
        ({"event": "rejected", "listed": True}, "listed", ""),
    ],
)
def test_only_a_hard_bounce_suppresses_unless_more_is_asked_for(event, kind, reason):
    returned = fact(event.pop("event", "bounced"), **event)
    assert isinstance(returned, EmailReturned)
    assert (returned.kind, returned.suppress) == (kind, reason)
    assert (returned.failure_class == "hard") == (kind == "hard")


@pytest.mark.parametrize(
    ("code", "enhanced", "text", "failure_class"),
    [
        (550, "5.7.1", "blocked by policy", "block"),
        (0, "5.7.1", "blocked by policy", "block"),
        (0, "5.2.2", "", "soft"),
        (0, "4.4.7", "expired", "transient"),
        (0, "5.1.1", "user unknown", "soft"),
        (0, "", "user unknown", ""),
    ],
)
def test_what_no_code_tells_is_told_from_the_enhanced_one(code, enhanced, text, failure_class):
    returned = fact("bounced", bounce="soft", code=code, enhanced=enhanced, text=text)
    assert (returned.kind, returned.failure_class) == ("soft", failure_class)


def test_addresses_on_the_list_of_the_esp_are_suppressed_where_the_endpoint_is_set_so():
    assert fact("rejected", ("listed",), listed=True).suppress == "esp_list"
    assert fact("rejected", ("listed",)).suppress == ""


@pytest.mark.parametrize("given", ["ADA@Example.com", " ada@example.com "])
def test_another_spelling_of_the_address_is_the_same_reader(given):
    assert fact("complained", recipient=given).recipient.lower() == ADA


@pytest.mark.parametrize("given", ["ben@example.com", "", "nonsense", "ada@example.com, ben@example.com"])
def test_an_address_that_the_mail_was_not_to_is_nobodys(given):
    assert fact("bounced", bounce="hard", recipient=given).recipient == ""


def test_what_is_said_of_time_is_believed_only_as_far_as_it_can_be():
    assert fact("delivered", at=None).at == AT + 5
    assert fact("delivered", at=AT - 86_400).at == AT - 86_400
    assert fact("delivered", at=AT + 86_400).at == AT + 5


def test_links_are_known_by_their_numbers_and_our_own_are_counted_by_ourselves():
    clicked = fact("clicked", url="https://shop.example/sale")
    assert isinstance(clicked, EmailClicked)
    assert (clicked.link, fact("clicked", url="https://elsewhere.example/").link) == (2, 0)
    assert fact("clicked", url=f"https://mail.example.com/c/spring.{MAIL}.abcdef/1") is None


def test_machines_are_told_apart_by_what_the_esp_says_or_by_their_names():
    assert fact("opened", machine=True).machine == "esp"
    assert fact("opened").machine == ""
    assert fact("opened", user_agent="Mozilla/5.0").machine == "apple-mpp"
    assert fact("opened", user_agent="Mozilla/5.0 GoogleImageProxy").client == "google-proxy"
    assert fact("clicked", url="https://a.example", user_agent="curl/8.0").machine == "scanner"


def test_two_opens_are_two_and_a_repeated_one_is_one():
    def id_of(dedupe):
        return facts.id_of(fact("opened", dedupe=dedupe))

    assert id_of("mailgun/opened/1") == id_of("mailgun/opened/1") != id_of("mailgun/opened/2")
    assert id_of("x").startswith(f"{MAIL}/opened/")


def entry(suppress=("unknown",), **fields):
    event = Event(**{"recipient": "Ben@Example.com", "at": AT, "dedupe": "x", **fields})
    return meaning.entry_of(event, "postmark", "main", AT, suppress)


@pytest.mark.parametrize("address", ["\ud800@example.com", "a@\udfff.example", "a@b@example.com", "@example.com", "a@"])
def test_what_is_no_address_is_nobodys(address):
    assert meaning.plain_address(address) is None
    assert entry(event="complained", recipient=address) is None
    assert fact("complained", recipient=address).recipient == ""


def test_for_mails_that_are_not_ours_nobody_is_suppressed_unless_that_is_asked_for():
    assert entry((), event="complained") is None
    found = entry(event="bounced", bounce="hard")
    assert (found.address, found.reason, found.source) == ("Ben@example.com", "hard_bounce", "postmark, endpoint main")
    assert entry(event="complained").reason == "complaint"
    assert entry(event="unsubscribed").reason == "unsubscribe"
    assert entry(("unknown", "listed"), event="rejected", listed=True).reason == "esp_list"


@pytest.mark.parametrize(
    "fields",
    [
        {"event": "bounced", "bounce": "soft"},
        {"event": "rejected", "listed": True},
        {"event": "unsubscribed", "group": "3"},
        {"event": "delivered"},
        {"event": "complained", "recipient": "no address"},
    ],
)
def test_and_never_for_what_proves_nothing_of_an_address(fields):
    assert entry(**fields) is None


def test_the_fake_esp_speaks_of_our_mails():
    assert read_reference(esps.event("sendgrid", "hard", f"{MAIL}.spring", ADA, AT)["jetpost"]) == REFERENCE


TEXT = st.text(max_size=30)
EVENTS = st.builds(
    Event,
    event=st.sampled_from(get_args(EventName)),
    recipient=TEXT | st.just(ADA),
    message_id=TEXT,
    reference=TEXT,
    at=st.none() | st.floats(0, 4e10),
    bounce=st.sampled_from([None, "hard", "soft"]),
    code=st.integers(-1, 999_999),
    enhanced=TEXT,
    text=st.text(max_size=900),
    listed=st.booleans(),
    url=TEXT,
    machine=st.booleans(),
    user_agent=TEXT,
    group=TEXT,
    dedupe=TEXT,
)


@given(event=EVENTS, suppress=st.sampled_from([(), ("listed",), ("unknown",), ("listed", "unknown")]))
def test_whatever_an_esp_tells_fits_the_tables(event, suppress):
    found = fact_of(event, ABOUT, "mailgun", AT, suppress)
    if found is not None:
        assert facts.decode(facts.encode(found)) == found
        assert rows.reaction_row(1, found)
        assert found.recipient in {"", ADA} or found.recipient.lower() == ADA
        assert facts.id_of(found).isprintable()
        assert " " not in facts.id_of(found)
    entry = meaning.entry_of(event, "mailgun", "main", AT, suppress)
    assert entry is None or ("unknown" in suppress and "@" in entry.address)
