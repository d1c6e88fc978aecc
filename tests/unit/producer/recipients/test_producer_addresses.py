from __future__ import annotations

import email_validator
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from producer.recipients.addresses import BadAddress, normalise

LABEL = st.text("abcxyzABC019-", min_size=1, max_size=8)
DOMAIN = st.one_of(
    st.lists(LABEL, min_size=1, max_size=4).map(".".join),
    st.sampled_from(
        ["bücher.example", "xn--bcher-kva.example", "ab--cd.com", "ß.de", "x.local", "x.test", "a.b.c1", "例え.jp"]
    ),
    st.text("abü例.-_1 @", max_size=12),
)
LOCAL = st.one_of(st.text("abcXYZ019.+_-'!#", min_size=1, max_size=70), st.text(max_size=10))


def by_the_book(text: str) -> tuple[str, bool] | None:
    try:
        found = email_validator.validate_email(text, check_deliverability=False, strict=True, test_environment=True)
    except email_validator.EmailNotValidError:
        return None
    return f"{found.local_part}@{found.ascii_domain.lower()}", found.smtputf8


@given(st.builds("{}@{}".format, LOCAL, DOMAIN) | st.text(max_size=30))
@example(f"{'a' * 64}@{'b' * 60}.{'c' * 60}.{'d' * 60}.de")
@example(f"{'a' * 60}@{'bücher-' * 8}x.{'d' * 60}.{'e' * 60}.de")
@example("a@b.com.")
@example('"a"@b.de')
@example("a@b.c\n")
def test_every_address_is_judged_as_email_validator_judges_it(text: str) -> None:
    try:
        found = normalise(text)
    except BadAddress:
        assert by_the_book(text.strip()) is None
    else:
        assert (found.address, found.smtputf8) == by_the_book(text.strip())


@given(st.builds("{}@{}".format, LOCAL, DOMAIN))
def test_normalising_twice_changes_nothing(text: str) -> None:
    try:
        once = normalise(text)
    except BadAddress:
        return
    assert normalise(once.address).identity == once.identity


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ann@Example.COM", "ann@example.com"),
        ("x@bücher.example", "X@xn--bcher-kva.example"),
        (" ann@example.com\t", "ann@example.com"),
        ("x@BÜCHER.example", "x@bücher.example"),
    ],
)
def test_two_spellings_of_one_mailbox_have_one_identity(one: str, other: str) -> None:
    assert normalise(one).identity == normalise(other).identity


def test_the_local_part_is_sent_to_as_it_was_written() -> None:
    assert normalise("Ann.Example@GMAIL.com").address == "Ann.Example@gmail.com"


def test_a_local_part_beyond_ascii_needs_smtputf8() -> None:
    assert normalise("jürgen@example.org").smtputf8
    assert not normalise("juergen@bücher.example").smtputf8


def test_the_provider_is_told_from_the_domain() -> None:
    assert normalise("ann@Hotmail.co.uk").provider == "microsoft"


def test_an_absurdly_long_text_is_refused_without_being_parsed() -> None:
    with pytest.raises(BadAddress, match="too long"):
        normalise("a" * 10_000_000)
