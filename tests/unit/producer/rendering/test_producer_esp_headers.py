"""Headers for ESPs, as an independent parser reads them, and as their callbacks give them back."""

import email
import json

import msgspec
import pytest
from test_producer_message import CAMPAIGN, SETTINGS, recipient

from events.esps import ESP_NAMES, Reference, read_reference
from events.ids import mail_id
from producer.rendering.renderer import compile_campaign

MAIL = mail_id("autumn-letter", "ada@gmail.com")


def mail(*esps, **changes):
    campaign = msgspec.structs.replace(CAMPAIGN, esps=esps, **changes)
    return email.message_from_bytes(compile_campaign(campaign, SETTINGS).render(recipient()).message)


READ = {
    "brevo": lambda made: made["X-Mailin-custom"],
    "mailgun": lambda made: json.loads(made["X-Mailgun-Variables"])["jetpost"],
    "mailjet": lambda made: made["X-MJ-CustomID"],
    "postmark": lambda made: made["X-PM-Metadata-jetpost"],
    "resend": lambda made: made["Message-ID"],
    "sendgrid": lambda made: json.loads(made["X-SMTPAPI"])["unique_args"]["jetpost"],
    "ses": lambda made: dict([made["X-SES-MESSAGE-TAGS"].split("=")])["jetpost"],
    "sparkpost": lambda made: json.loads(made["X-MSYS-API"])["metadata"]["jetpost"],
    "standard": lambda made: made["Message-ID"],
}


@pytest.mark.parametrize("esp", ESP_NAMES)
def test_a_mail_carries_what_the_callbacks_of_its_esp_give_back(esp):
    assert read_reference(READ[esp](mail(esp))) == Reference("autumn-letter", MAIL)


def test_a_mail_that_may_go_through_several_esps_carries_it_for_each():
    made = mail("sendgrid", "ses", "postmark")
    assert all(read_reference(READ[esp](made)) for esp in ("sendgrid", "ses", "postmark"))


def test_a_mail_for_relays_of_ones_own_has_nothing_of_it():
    assert mail().keys() == [
        name for name in mail("sendgrid", "mailgun") if name not in {"X-SMTPAPI", "X-Mailgun-Variables"}
    ]


def test_a_header_that_the_campaign_sets_itself_is_left_alone():
    made = mail("sendgrid", headers=(("x-smtpapi", '{"category": "news"}'),))
    assert made.get_all("X-SMTPAPI") == ['{"category": "news"}']


def test_tags_of_amazon_have_no_characters_that_it_refuses():
    assert set(READ["ses"](mail("ses"))) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")
