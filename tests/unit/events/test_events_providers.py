import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.providers import PROVIDERS, provider_of


@pytest.mark.parametrize(
    ("domain", "provider"),
    [
        ("gmail.com", "gmail"),
        ("googlemail.com", "gmail"),
        ("outlook.com", "microsoft"),
        ("hotmail.fr", "microsoft"),
        ("live.co.uk", "microsoft"),
        ("yahoo.com.br", "yahoo"),
        ("yahoo.co.jp", "yahoo"),
        ("aol.com", "yahoo"),
        ("icloud.com", "apple"),
        ("example.org", "other"),
        ("gmail.com.example.org", "other"),
        ("yahoo.example", "other"),
        ("mail.yahoo.com", "other"),
        ("yahoo", "other"),
    ],
)
def test_the_domain_tells_the_provider(domain, provider):
    assert provider_of(domain) == provider


@given(st.text())
def test_any_text_has_a_provider(domain):
    assert provider_of(domain) in PROVIDERS
