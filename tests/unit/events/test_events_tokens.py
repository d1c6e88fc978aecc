from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import ids
from events.tokens import BadToken, Signer

SECRET = "correct horse battery staple"
MAIL = ids.mail_id("spring-sale", "ada@example.com")


@given(st.from_regex(ids.CAMPAIGN_ID, fullmatch=True), st.from_regex(r"[a-z2-7]{16}", fullmatch=True))
def test_every_token_says_what_it_was_made_of(campaign: str, mail_id: str) -> None:
    signer = Signer(SECRET, "unsubscribe")
    assert signer.check(signer.token(campaign, mail_id)) == (campaign, mail_id)


@given(st.integers(0, 44), st.characters())
def test_a_token_with_any_character_changed_is_refused(position: int, character: str) -> None:
    signer = Signer(SECRET, "unsubscribe")
    token = signer.token("spring-sale", MAIL)
    changed = token[:position] + character + token[position + 1 :]
    if changed != token:
        with pytest.raises(BadToken):
            signer.check(changed)


@given(st.text())
def test_arbitrary_text_is_no_token(text: str) -> None:
    with pytest.raises(BadToken):
        Signer(SECRET, "unsubscribe").check(text)


def test_a_token_is_short_and_needs_no_escaping_in_a_url() -> None:
    token = Signer(SECRET, "unsubscribe").token("spring-sale", MAIL)
    assert len(token) == len("spring-sale") + 34
    assert set(token) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


def test_the_token_of_an_open_pixel_unsubscribes_nobody() -> None:
    token = Signer(SECRET, "open").token("spring-sale", MAIL)
    with pytest.raises(BadToken):
        Signer(SECRET, "unsubscribe").check(token)


def test_another_secret_makes_other_tokens() -> None:
    token = Signer(SECRET, "unsubscribe").token("spring-sale", MAIL)
    with pytest.raises(BadToken):
        Signer(SECRET + "!", "unsubscribe").check(token)


@pytest.mark.parametrize("secret", ["", "fifteen bytes.."])
def test_a_missing_or_short_secret_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="link_secret"):
        Signer(secret, "unsubscribe")
