import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import ids


def test_the_id_of_a_mail_never_changes():
    assert ids.mail_id("spring", "a@example.org") == "a4svbvzdjerp7miq"


@given(st.text(), st.text(), st.text(), st.text())
def test_different_campaigns_or_addresses_have_different_ids(campaign, address, other_campaign, other_address):
    same = (campaign, address) == (other_campaign, other_address) or "\0" in campaign + other_campaign
    assert same or ids.mail_id(campaign, address) != ids.mail_id(other_campaign, other_address)


@given(st.text(), st.text())
def test_an_id_is_safe_in_subjects_headers_and_addresses(campaign, address):
    mail = ids.mail_id(campaign, address)
    assert len(mail) == ids.MAIL_ID_LENGTH
    assert mail.isascii()
    assert mail.isalnum()
    assert mail == mail.lower()


@pytest.mark.parametrize("text", ["a", "7", "spring-sale-2027", "a" * 40])
def test_lower_case_letters_digits_and_inner_hyphens_make_a_campaign_id(text):
    assert ids.is_campaign_id(text)


@pytest.mark.parametrize("text", ["", "-a", "a-", "A", "a.b", "a b", "a*", "a>", "ä", "a\n", "a" * 41])
def test_anything_else_is_no_campaign_id(text):
    assert not ids.is_campaign_id(text)


def test_an_attempt_and_its_outcome_have_different_ids():
    assert ids.attempt_id("mail", 2) == "mail/2"
    assert ids.outcome_id("mail", 2) == "mail/2/outcome"
