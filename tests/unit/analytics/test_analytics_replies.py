import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.replies import MAX_LENGTH, pattern_of


@pytest.mark.parametrize(
    ("reply", "pattern"),
    [
        ("5.1.1 <jo@example.com>: user unknown", "5.1.1 <address>: user unknown"),
        ("550 5.1.1 no mailbox here by that name", "550 5.1.1 no mailbox here by that name"),
        ("4.7.1 Greylisted, try again in 297 seconds", "4.7.1 Greylisted, try again in <n> seconds"),
        ("4.7.0 [203.0.113.9] sends too fast", "4.7.0 [<ip>] sends too fast"),
        ("4.7.0 [2001:db8::25] sends too fast", "4.7.0 [<ip>] sends too fast"),
        (
            "5.1.1 https://support.google.com/mail/?p=NoSuchUser d2e1a72fcca58-7b5a8f.42 - gsmtp",
            "5.1.1 https://support.google.com/mail/?p=NoSuchUser <id> - gsmtp",
        ),
        ("mailbox full\r\n(quota   5120 MB)", "mailbox full (quota <n> MB)"),
        ("5.7.1 rejected, reference 4bQ2Xk3z0Yz9rV", "5.7.1 rejected, reference <id>"),
        ("", ""),
    ],
)
def test_what_differs_from_mail_to_mail_is_replaced_and_the_reason_stays(reply, pattern):
    assert pattern_of(reply) == pattern


@given(st.integers(0, 10**9), st.emails())
def test_two_refusals_for_one_reason_are_one_pattern(number, address):
    assert "<address>" in pattern_of(f"5.2.2 {address} over quota by {number} bytes")
    assert pattern_of(f"over quota by {number} bytes") == "over quota by <n> bytes"


@given(st.text(max_size=2_000))
def test_a_pattern_is_one_short_line(reply):
    pattern = pattern_of(reply)
    assert len(pattern) <= MAX_LENGTH
    assert pattern == " ".join(pattern.split(" "))
    assert not set(pattern) & set("\r\n\t")


def test_a_hostile_reply_takes_no_time():
    for reply in ("@" * 400, "a" * 400, "1a" * 200, "a@" * 200, ":" * 400, "1." * 200, "-=" * 200):
        assert len(pattern_of(reply)) <= MAX_LENGTH
