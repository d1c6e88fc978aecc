"""A real client brings mail, as a mail server would."""

import asyncio
import smtplib

import pytest

from analytics.post.door import listening
from analytics.post.settings import BounceSettings
from events.errors import BusUnavailable

MAIL = "Subject: Undelivered\n\nno such user\n.\n..\n"


class Taken:
    def __init__(self):
        self.mails = []
        self.error = None

    async def __call__(self, sent_to, raw):
        if self.error:
            raise self.error
        self.mails.append((sent_to, raw))


async def bring(settings, taken, *recipients, mail=MAIL):
    """What the client heard: nothing, or the exception."""
    client = smtplib.LMTP if settings.protocol == "lmtp" else smtplib.SMTP

    def send(host, port):
        with client(host, port) as server:
            return server.sendmail("", list(recipients), mail)

    async with listening(settings, taken) as (host, port):
        try:
            return await asyncio.to_thread(send, host, port)
        except smtplib.SMTPException as error:
            return error


@pytest.mark.parametrize("protocol", ["lmtp", "smtp"])
async def test_a_mail_is_taken_as_it_came(protocol):
    taken = Taken()
    assert await bring(BounceSettings(protocol=protocol), taken, "bounces+x@news.example.com") == {}
    assert taken.mails == [(["bounces+x@news.example.com"], MAIL.replace("\n", "\r\n").encode())]


@pytest.mark.parametrize("protocol", ["lmtp", "smtp"])
@pytest.mark.parametrize("error", [BusUnavailable("no connection"), ValueError("which nobody expected")])
async def test_while_it_cannot_be_kept_it_is_put_off(protocol, error):
    taken = Taken()
    taken.error = error
    error = await bring(BounceSettings(protocol=protocol), taken, "bounces+x@news.example.com")
    assert isinstance(error, smtplib.SMTPDataError)
    assert error.smtp_code == 451


async def test_one_recipient_at_a_time_since_each_needs_an_answer():
    taken = Taken()
    refused = await bring(BounceSettings(), taken, "a@news.example.com", "b@news.example.com")
    assert {address: code for address, (code, _) in refused.items()} == {"b@news.example.com": 452}
    assert [sent_to for sent_to, _ in taken.mails] == [["a@news.example.com"]]


async def test_mail_to_other_domains_is_refused():
    taken, settings = Taken(), BounceSettings(domains=("News.Example.com",))
    error = await bring(settings, taken, "bounces@other.example")
    assert isinstance(error, smtplib.SMTPRecipientsRefused)
    assert await bring(settings, taken, "bounces@NEWS.example.com") == {}


async def test_what_is_too_large_is_refused():
    taken = Taken()
    error = await bring(BounceSettings(max_message_bytes=1_000), taken, "a@news.example.com", mail="x" * 5_000)
    assert isinstance(error, smtplib.SMTPResponseException)
    assert error.smtp_code == 552
    assert taken.mails == []


def test_old_secrets_must_be_secrets():
    with pytest.raises(ValueError, match="old_verp_secrets"):
        BounceSettings(old_verp_secrets=("short",))
