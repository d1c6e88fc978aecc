import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import ids
from events.verp import LONGEST_MAILBOX, Bounced, Verp, VerpChecker, mark_of

SECRET, OTHER = "correct horse battery staple", "another secret of ours"
MAIL = ids.mail_id("autumn", "ann@example.org")


def test_a_return_path_says_which_mail_it_was():
    address = Verp(SECRET).address("bounces@news.example.com", "autumn", MAIL)
    assert address.startswith(f"bounces+{MAIL}{mark_of('autumn')}")
    assert address.endswith("@news.example.com")
    assert VerpChecker([SECRET]).read(address) == Bounced(MAIL, mark_of("autumn"))


def test_servers_may_change_the_case():
    address = Verp(SECRET).address("bounces@news.example.com", "autumn", MAIL)
    assert VerpChecker([SECRET]).read(address.upper()) == Bounced(MAIL, mark_of("autumn"))


def test_a_secret_that_was_replaced_is_still_good_for_reading():
    old = Verp(OTHER).address("bounces@news.example.com", "autumn", MAIL)
    assert VerpChecker([SECRET, OTHER]).read(old) is not None
    assert VerpChecker([SECRET]).read(old) is None
    assert VerpChecker([]).read(old) is None


@pytest.mark.parametrize(
    "address",
    [
        "",
        "bounces@news.example.com",
        "bounces+@news.example.com",
        f"bounces+{MAIL}@x.example",
        "bounces+" + "a" * 37 + "@x.example",
    ],
)
def test_other_addresses_are_nobodys(address):
    assert VerpChecker([SECRET]).read(address) is None


@given(place=st.integers(8, 44), letter=st.sampled_from("abcdefghijklmnopqrstuvwxyz234567-é"))
def test_whatever_is_changed_is_noticed(place, letter):
    address = Verp(SECRET).address("bounces@news.example.com", "autumn", MAIL)
    changed = address[:place] + letter + address[place + 1 :]
    assert changed == address or VerpChecker([SECRET]).read(changed) is None


@given(st.text("abcdefghijklmnopqrstuvwxyz.", min_size=1, max_size=80), st.from_regex(ids.CAMPAIGN_ID, fullmatch=True))
def test_no_local_part_becomes_too_long(mailbox, campaign):
    address = Verp(SECRET).address(f"{mailbox}@news.example.com", campaign, MAIL)
    assert len(address.rpartition("@")[0]) <= 64 or address == f"{mailbox}@news.example.com"
    assert (VerpChecker([SECRET]).read(address) is not None) == (len(mailbox) <= LONGEST_MAILBOX)


def test_the_null_reverse_path_stays():
    assert Verp(SECRET).address("", "autumn", MAIL) == ""


def test_a_secret_must_be_one():
    with pytest.raises(ValueError, match="verp_secret"):
        Verp("short")
