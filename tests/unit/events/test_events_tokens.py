from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import ids
from events.tokens import BadToken, Checker, Signer

SECRET = "correct horse battery staple"
MAIL = ids.mail_id("spring-sale", "ada@example.com")
CHECKER = Checker([SECRET], "unsubscribe")


@given(st.from_regex(ids.CAMPAIGN_ID, fullmatch=True), st.from_regex(r"[a-z2-7]{16}", fullmatch=True))
def test_every_token_says_what_it_was_made_of(campaign: str, mail_id: str) -> None:
    token = Signer(SECRET, "unsubscribe").token(campaign, mail_id)
    assert CHECKER.check(token) == (campaign, mail_id)


@given(st.integers(0, 44), st.characters())
def test_a_token_with_any_character_changed_is_refused(position: int, character: str) -> None:
    token = Signer(SECRET, "unsubscribe").token("spring-sale", MAIL)
    changed = token[:position] + character + token[position + 1 :]
    if changed != token:
        with pytest.raises(BadToken):
            CHECKER.check(changed)


@given(st.text())
def test_arbitrary_text_is_no_token(text: str) -> None:
    with pytest.raises(BadToken):
        CHECKER.check(text)


def test_a_token_is_short_and_needs_no_escaping_in_a_url() -> None:
    token = Signer(SECRET, "unsubscribe").token("spring-sale", MAIL)
    assert len(token) == len("spring-sale") + 34
    assert set(token) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


@given(st.from_regex(ids.CAMPAIGN_ID, fullmatch=True), st.from_regex(r"[a-z2-7]{16}", fullmatch=True))
def test_a_token_serves_no_other_purpose(campaign: str, mail_id: str) -> None:
    tracked = Signer(SECRET, "track").token(campaign, mail_id)
    with pytest.raises(BadToken):
        CHECKER.check(tracked)
    with pytest.raises(BadToken):
        Checker([SECRET], "track").check(Signer(SECRET, "unsubscribe").token(campaign, mail_id))


@given(st.from_regex(r"[a-z2-7]{16}", fullmatch=True), st.from_regex(r"[a-z2-7]{16}", fullmatch=True))
def test_a_token_is_good_for_its_own_mail_only(mail_id: str, other: str) -> None:
    token = Signer(SECRET, "unsubscribe").token("spring-sale", mail_id)
    moved = token.replace(mail_id, other)
    if moved != token:
        with pytest.raises(BadToken):
            CHECKER.check(moved)


@given(st.from_regex(ids.CAMPAIGN_ID, fullmatch=True), st.integers(1, 39))
def test_a_token_cannot_be_cut_elsewhere(campaign: str, place: int) -> None:
    """The dot between campaign and mail is signed, too."""
    signed, _, mac = Signer(SECRET, "unsubscribe").token(campaign, MAIL).rpartition(".")
    letters = signed.replace(".", "")
    moved = f"{letters[:place]}.{letters[place:]}"
    if moved != signed:
        with pytest.raises(BadToken):
            CHECKER.check(f"{moved}.{mac}")


def test_a_secret_that_was_replaced_is_good_for_checking() -> None:
    old, new = Signer(SECRET, "unsubscribe").token("spring-sale", MAIL), "a newer secret than that"
    assert Checker([new, "another old secret", SECRET], "unsubscribe").check(old) == ("spring-sale", MAIL)
    with pytest.raises(BadToken):
        Checker([new], "unsubscribe").check(old)


def test_nothing_is_checked_without_a_secret() -> None:
    with pytest.raises(ValueError, match="link_secret"):
        Checker([], "unsubscribe")


def test_another_secret_makes_other_tokens() -> None:
    token = Signer(SECRET, "unsubscribe").token("spring-sale", MAIL)
    with pytest.raises(BadToken):
        Checker([SECRET + "!"], "unsubscribe").check(token)


@pytest.mark.parametrize("secret", ["", "fifteen bytes.."])
def test_a_missing_or_short_secret_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="link_secret"):
        Signer(secret, "unsubscribe")
