"""What `jetpost check` says of the address that links in mails begin with."""

import time

import pytest
from msgspec.structs import replace

from jetpost.links import checked_for_links
from jetpost.settings import Settings
from producer.campaign.check import check

CAMPAIGN = """
name = "Spring"
from = "Ann <ann@example.com>"
subject = "News"
html = "mail.html"
audience = "people.csv"
"""


@pytest.fixture
def warnings(tmp_path):
    """Those of a campaign whose links begin with an address."""
    (tmp_path / "campaign.toml").write_text(CAMPAIGN)
    (tmp_path / "mail.html").write_text("<p>Hello</p>")
    (tmp_path / "people.csv").write_text("email\nada@example.org\n")
    checked = check(tmp_path / "campaign.toml", ["default"], time.time())
    assert checked.problems == checked.warnings == []

    def told(public_url: str) -> list[str]:
        settings = Settings()
        settings = replace(settings, producer=replace(settings.producer, public_url=public_url))
        return [str(warning) for warning in checked_for_links(checked, settings).warnings]

    return told


@pytest.mark.parametrize(
    "url", ["http://localhost:8080", "https://127.0.0.1", "https://[::1]:8080/x", "http://jetpost.localhost"]
)
def test_links_that_lead_to_this_machine_are_warned_of(warnings, url):
    (warning,) = warnings(url)
    assert (
        f"campaign.toml: producer.public_url: links in the mails, also that for unsubscribing, lead to {url}" in warning
    )


def test_links_without_https_are_warned_of(warnings):
    (warning,) = warnings("http://mail.example.com")
    assert "http://mail.example.com is not HTTPS: mails lack one-click unsubscribing" in warning


def test_an_https_address_is_fine(warnings):
    assert warnings("https://mail.example.com") == []


def test_a_campaign_that_cannot_be_sent_is_left_to_its_problems(tmp_path):
    (tmp_path / "campaign.toml").write_text("name = 1")
    checked = check(tmp_path / "campaign.toml", ["main"], time.time())
    assert checked_for_links(checked, Settings()) is checked
