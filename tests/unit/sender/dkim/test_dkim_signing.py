"""Who signs a campaign's mails, and on which bytes."""

import logging

import pytest
from dkim_keys import NOW, dkimpy_verdicts, settings

from events.schemas import Campaign
from sender.dkim.signing import Signing, domain_for, domain_of
from sender.drivers.base import Outbound
from sender.drivers.smtp_wire import Extensions, Writer
from sender.errors import DkimKeyUnusable
from sender.settings import DkimKeys, Relay

RELAY = Relay()


def campaign(from_header):
    return Campaign("c", "C", "running", "main", "b@example.com", 0.0, from_header=from_header)


def outbound(message, **fields):
    return Outbound("m", "ada@example.org", "b@example.com", message, **fields)


@pytest.fixture
def signing():
    made = Signing({"example.com": settings(), "sub.example.com": settings("ed25519")}, lambda: NOW)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("from_header", "domain"),
    [
        ("ann@example.com", "example.com"),
        ("Ann <ann@example.com>", "example.com"),
        ('A "b@c" <x> <ann@Mail.Example.com>', "mail.example.com"),
        ("", ""),
        ("nobody", ""),
    ],
)
def test_the_domain_of_an_author(from_header, domain):
    assert domain_of(from_header) == domain


@pytest.mark.parametrize(
    ("author", "signer"),
    [
        ("example.com", "example.com"),
        ("news.example.com", "example.com"),
        ("a.sub.example.com", "sub.example.com"),
        ("example.org", None),
        ("notexample.com", None),
        ("com", None),
        ("", None),
    ],
)
def test_a_mail_is_signed_for_its_domain_or_the_nearest_one_above(author, signer):
    assert domain_for(author, {"example.com": 1, "sub.example.com": 2}) == signer


async def test_mails_come_back_signed_and_in_their_order(signing):
    signer = signing.signer(RELAY, campaign("Ann <ann@news.example.com>"))
    mails = [outbound(b"From: a@example.com\r\n\r\n%d\r\n" % number) for number in range(20)]
    signed = await signing.sign(signer, mails)
    assert [mail.message[-4:] for mail in signed] == [mail.message[-4:] for mail in mails]
    assert all(dkimpy_verdicts(mail.message) == [True, True] for mail in signed)


async def test_no_mails_are_no_work(signing):
    signing.close()
    assert await signing.sign(signing.signer(RELAY, campaign("ann@example.com")), []) == []


@pytest.mark.parametrize(
    "message",
    [
        b"From: a@example.com\nSubject: bare line ends\n\nfrom\rall\nsystems",
        b"From: a@example.com\r\n\r\n.\r\n..\r\n.x\r\n",
        "From: grüße@example.com\r\nSubject: ö\r\n\r\nétude".encode(),
    ],
    ids=["bare line ends", "dots", "8-bit"],
)
@pytest.mark.parametrize("chunking", [True, False])
async def test_what_is_signed_is_what_goes_over_the_wire(signing, message, chunking):
    signer = signing.signer(RELAY, campaign("a@example.com"))
    (signed,) = await signing.sign(signer, [outbound(message, smtputf8=True)])
    extensions = Extensions(pipelining=True, chunking=chunking, eight_bit=True, smtputf8=True, size=True)
    envelope, on_the_wire = Writer(extensions).write(signed)
    assert on_the_wire == signed.message
    assert b"SIZE=%d " % len(on_the_wire) in envelope
    assert dkimpy_verdicts(on_the_wire) == [True, True]


def test_a_campaign_without_a_key_is_named_once(signing, caplog):
    with caplog.at_level(logging.WARNING):
        for name in ("Bob", "Bob", "Eve"):
            assert signing.signer(RELAY, campaign(f"{name} <{name}@example.org>")) is None
    (said,) = caplog.messages
    assert said.startswith("mails from example.org go out without a DKIM signature")
    assert "relay_signs" in said


def test_where_the_relay_signs_nothing_is_signed_here_and_nothing_said(signing, caplog):
    relay = Relay(relay_signs=True)
    assert signing.signer(relay, campaign("bob@example.org")) is None
    assert signing.signer(relay, campaign("ann@example.com")) is None
    assert caplog.messages == []


def test_a_key_that_cannot_be_used_stops_the_sender():
    with pytest.raises(DkimKeyUnusable):
        Signing({"example.com": DkimKeys(rsa_selector="s")}, lambda: NOW)
