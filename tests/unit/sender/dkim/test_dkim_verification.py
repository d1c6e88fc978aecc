"""Our own check of signatures: RFC 8463's example, and what is said of signatures that do not hold."""

import pytest
from dkim_keys import NOW, made, signer, texts

from sender.dkim import records
from sender.dkim.verification import verify
from sender.drivers.smtp_wire import with_crlf

EXAMPLE = with_crlf(b"""\
DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
""")
"""RFC 8463, appendix A.3."""
ITS_RECORDS = {
    "brisbane._domainkey.football.example.com": ("v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="),
    "test._domainkey.football.example.com": (
        "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/b"
        "yYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
    ),
}
MAIL = b"From: a@example.com\r\nSubject: News\r\n\r\nHello.\r\n"
SIGNED = signer().sign(MAIL, NOW)
ED25519 = signer("ed25519").sign(MAIL, NOW)


def problem(message=ED25519, published=None, now=NOW):
    (verdict,) = verify(message, texts() if published is None else published, now)
    return verdict.problem


def test_the_example_of_rfc_8463_holds():
    verdicts = verify(EXAMPLE, ITS_RECORDS, NOW)
    assert [(verdict.domain, verdict.selector, verdict.problem) for verdict in verdicts] == [
        ("football.example.com", "brisbane", ""),
        ("football.example.com", "test", ""),
    ]
    assert verdicts[0].signed[:3] == ("from", "to", "subject")


def test_a_mail_without_signatures_has_no_verdicts():
    assert verify(MAIL, texts(), NOW) == []


def name(algorithm="ed25519"):
    return made(algorithm).record.name


@pytest.mark.parametrize(
    ("published", "said"),
    [
        ({}, "there is no record test-ed25519._domainkey.example.com"),
        ({name(): "v=DKIM1; k=ed25519; p="}, "the key was revoked"),
        ({name(): "v=DKIM2; k=ed25519; p=AA=="}, "of version DKIM2"),
        ({name(): "v=DKIM1; k=ed25519; h=sha1; p=AA=="}, "does not allow SHA-256"),
        ({name(): "v=DKIM1; k=ed25519"}, "no key (p=)"),
        ({name(): "v=DKIM1; k=ed25519; p=A"}, "not base64"),
        ({name(): "v=DKIM1; nonsense"}, "'nonsense' is no tag"),
        ({name(): "v=DKIM1; k=ed25519; p=AAAA"}, "cannot be read"),
        ({name(): f"v=DKIM1; k=ed25519; p={'A' * 43}="}, "the record has another key"),
        ({name(): made("rsa").record.text}, "it says ed25519-sha256, and the record has a key for rsa"),
    ],
)
def test_a_record_that_does_not_fit_is_named(published, said):
    assert said in problem(published=published)


def test_a_record_for_rsa_with_another_kind_of_key_is_named():
    (verdict,) = verify(signer("rsa").sign(MAIL, NOW), {name("rsa"): "v=DKIM1; p=MCowBQYDK2VwAyEA" + "A" * 43}, NOW)
    assert verdict.problem


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"v=1;", b"v=2;", "its version is 2"),
        (b" bh=", b" bx=", "it lacks bh"),
        (b"relaxed/relaxed", b"simple/simple", "only relaxed/relaxed"),
        (b"h=From:From:", b"h=", "it does not cover From"),
        (b" b=", b" b=!", "its b= is not base64"),
        (b" bh=", b" bh=!", "its bh= is not base64"),
        (b"Hello", b"Hallo", "the body is not the one that was signed"),
        (b"Subject: News", b"Subject: Nows", "a signed header is not the one that was signed"),
        (b"v=1; a=", b"v=1; v=1; a=", "comes twice"),
        (b"v=1;", b"v=\xff;", "utf-8"),
    ],
)
def test_a_signature_that_does_not_hold_is_told_why(old, new, said):
    assert old in ED25519
    assert said in problem(ED25519.replace(old, new, 1))


def test_records_survive_the_way_through_a_zone_file():
    zone = "\n".join(records.zone_line(made(algorithm).record) for algorithm in ("rsa", "ed25519"))
    assert max(len(text) for line in zone.splitlines() for text in line.split('"')) <= 255
    assert records.parse_zone(f"; a comment\n{zone}\n") == texts()


@pytest.mark.parametrize(
    "zone",
    [
        'S._domainkey.Example.com. 3600 IN TXT ( "v=DKIM1; "\n  "p=AA==" ) ; comment',
        "s._domainkey.example.com TXT v=DKIM1; p=AA==",
        's._domainkey.example.com.\t300\tIN\tTXT\t"v=DKIM1\\; p=AA=="',
    ],
)
def test_records_are_read_as_zone_files_and_dig_write_them(zone):
    assert records.parse_zone(zone) == {"s._domainkey.example.com": "v=DKIM1; p=AA=="}
