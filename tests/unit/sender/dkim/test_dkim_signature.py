"""Signatures hold in the eyes of dkimpy and in our own, and hold no longer once anything that was signed is changed."""

import re

import pytest
from dkim_keys import DOMAIN, NOW, dkimpy_verdicts, signer, texts
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sender.dkim import canonical
from sender.dkim.signature import OVERSIGNED, SIGNED, VALID_SECONDS, plan_for
from sender.dkim.verification import verify
from sender.drivers.smtp_wire import with_crlf

MAIL = (
    b"From: Ann <ann@news.example.com>\r\nReply-To: hello@example.com\r\nTo: ada@example.org\r\n"
    b"Subject: News\r\n of the week\r\nDate: Mon, 15 Jan 2027 08:00:00 +0000\r\n"
    b"Message-ID: <abcdefghijklmnop.spring@example.com>\r\n"
    b"List-Unsubscribe: <https://example.com/u/spring.abc>,\r\n <mailto:leave@example.com?subject=spring.abc>\r\n"
    b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nFeedback-ID: spring:main:campaign:example\r\n"
    b"X-Campaign: spring\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    b"Dear  Ada,\r\n\r\nthis is the news.\t\r\n.\r\n..dots\r\n\r\n\r\n"
)
SIGNED_IN_MAIL = [name for name in OVERSIGNED if f"\r\n{name}:".encode() in b"\r\n" + MAIL]


def holds(message, now=NOW):
    return [not verdict.problem for verdict in verify(message, texts(), now)]


def fields_of(message):
    return canonical.fields(canonical.split(message)[0])


def test_a_mail_has_two_signatures_which_dkimpy_finds_good():
    message = signer().sign(MAIL, NOW)
    assert message.endswith(MAIL)
    assert [verdict.algorithm for verdict in verify(message, texts(), NOW)] == ["rsa-sha256", "ed25519-sha256"]
    assert dkimpy_verdicts(message) == [True, True]
    assert holds(message) == [True, True]


@pytest.mark.parametrize("algorithm", ["rsa", "ed25519"])
def test_one_key_makes_one_signature(algorithm):
    assert dkimpy_verdicts(signer(algorithm).sign(MAIL, NOW)) == [True]


@pytest.mark.parametrize(
    "message",
    [
        b"From: a@example.com\r\n\r\n",
        b"From: a@example.com\r\n",
        b"From: a@example.com\r\n\r\n\r\n\r\n",
        "From: grüße@example.com\r\nSubject: öäü\r\n\r\nétude \t\r\n".encode(),
        b"From: a@example.com\r\nfrom: b@example.com\r\n\r\nx\r\n",
        b"From: a@example.com\r\nSender: b@example.com\r\nList-Id: <x>\r\nList-Id: <y>\r\n\r\n"
        + b"x" * 5_000
        + b"\r\n",
    ],
    ids=["empty body", "no body", "only empty lines", "UTF-8", "two From", "optional fields"],
)
def test_mails_of_every_shape_are_signed(message):
    signed = signer().sign(message, NOW)
    assert dkimpy_verdicts(signed) == holds(signed) == [True, True]


_WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=12)
_VALUES = st.lists(st.one_of(_WORDS, st.sampled_from([" ", "\t", "\r\n ", "  \r\n\t"])), max_size=8).map("".join)
_BODIES = st.lists(st.one_of(_WORDS, st.sampled_from([" ", "\t", "\r\n", "\r\n.", "\r\n\r\n"])), max_size=20).map(
    "".join
)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from([*OVERSIGNED, *SIGNED, "X-Other"]), _VALUES), max_size=10), _BODIES)
def test_whatever_a_mail_holds_dkimpy_finds_its_signature_good(fields, body):
    head = "".join(f"{name}: x{value}\r\n" for name, value in [("From", "@example.com"), *fields])
    signed = signer("ed25519").sign(with_crlf(f"{head}\r\n{body}".encode()), NOW)
    assert dkimpy_verdicts(signed) == holds(signed) == [True]


def test_the_tags_say_who_signed_what_and_until_when():
    rsa, ed25519 = re.findall(rb"DKIM-Signature: (.*?)\r\n(?! )", signer().sign(MAIL, NOW), re.DOTALL)
    for field, algorithm in ((rsa, b"rsa"), (ed25519, b"ed25519")):
        plain = field.replace(b"\r\n ", b" ")
        assert plain.startswith(
            b"v=1; a=%b-sha256; c=relaxed/relaxed; d=example.com; s=test-%b; t=%d; x=%d; h=From:From:Reply-To:Reply-To:"
            % (algorithm, algorithm, NOW, NOW + VALID_SECONDS)
        )
        assert b" l=" not in plain
    assert re.findall(rb"bh=[^;]*", rsa) == re.findall(rb"bh=[^;]*", ed25519)


def test_lines_are_short_enough_for_every_server():
    signed = signer().sign(MAIL, NOW)
    assert max(map(len, signed.removesuffix(MAIL).split(b"\r\n"))) <= 78


def test_signing_again_at_the_same_second_gives_the_same_bytes():
    assert signer().sign(MAIL, NOW + 0.9) == signer().sign(MAIL, NOW)


def test_what_a_reader_sees_or_obeys_is_named_once_more_than_it_is_there():
    plan = plan_for(fields_of(MAIL).names)
    named = plan.h.replace("\r\n ", "").split(":")
    assert {name: named.count(name) for name in named} == {
        name: 2 if name in SIGNED_IN_MAIL else 1 for name in OVERSIGNED
    }
    assert {"List-Unsubscribe", "List-Unsubscribe-Post", "Feedback-ID", "From"} <= set(SIGNED_IN_MAIL)
    assert "X-Campaign" not in named


@pytest.mark.parametrize("name", [*OVERSIGNED, "from", "LIST-UNSUBSCRIBE"])
@pytest.mark.parametrize("place", ["above", "below"])
def test_a_field_that_is_added_is_noticed(name, place):
    added = f"{name}: mallory@example.net\r\n".encode()
    signed = signer().sign(MAIL, NOW)
    head, body = canonical.split(signed)
    changed = added + signed if place == "above" else b"%b\r\n%b\r\n%b" % (head, added, body)
    assert holds(changed) == dkimpy_verdicts(changed) == [False, False]


def test_a_field_that_is_not_signed_may_be_added():
    changed = b"Received: from a by b\r\nX-Spam: no\r\n" + signer().sign(MAIL, NOW)
    assert holds(changed) == dkimpy_verdicts(changed) == [True, True]


@pytest.mark.parametrize("name", SIGNED_IN_MAIL)
def test_a_field_that_is_taken_away_is_noticed(name):
    signed = signer().sign(MAIL, NOW)
    changed = re.sub(rb"(?<=\r\n)%b:.*?\r\n(?! )" % name.encode(), b"", signed, flags=re.DOTALL)
    assert holds(changed) == dkimpy_verdicts(changed) == [False, False]


def test_refolding_and_white_space_at_line_ends_do_no_harm():
    signed = signer().sign(MAIL, NOW)
    changed = signed.replace(b"Subject: News\r\n of", b"Subject:  News of").replace(b"Ada,\r\n", b"Ada, \t\r\n")
    assert changed != signed
    assert holds(changed + b"\r\n\r\n") == [True, True]


SIGNED = signer().sign(MAIL, NOW)
_RSA_END = SIGNED.index(b"DKIM-Signature", 1)


def meaning(message):
    """What the signatures cover, and their own fields."""
    head, body = canonical.split(message)
    fields = canonical.fields(head)
    kept = [line for name, line in zip(*fields, strict=True) if name != b"x-campaign"]
    return kept, canonical.body(body)


@settings(max_examples=300)
@given(st.integers(0, len(SIGNED) - 1), st.integers(0, 255))
def test_any_byte_that_is_changed_is_noticed(place, byte):
    """Unless the mail still means the same, or the change is within what is not signed."""
    assume(byte not in b"\r\n")
    assume(SIGNED[place] not in b"\r\n")
    changed = SIGNED[:place] + bytes([byte]) + SIGNED[place + 1 :]
    assume(meaning(changed) != meaning(SIGNED))
    head = changed[: len(canonical.split(SIGNED)[0])]
    assume(b"X-Campaign: spring" in head)  # the one field that is not signed
    good = holds(changed)
    in_signatures = place < len(SIGNED) - len(MAIL)
    if in_signatures:
        assert len(good) < 2 or not good[0 if place < _RSA_END else 1]
    else:
        assert good == [False, False]


def test_a_signature_ends_after_a_week():
    signed = signer().sign(MAIL, NOW)
    assert holds(signed, NOW + VALID_SECONDS) == [True, True]
    assert {verdict.problem for verdict in verify(signed, texts(), NOW + VALID_SECONDS + 1)} == {"it has expired"}


def test_plans_do_not_pile_up():
    one = signer("ed25519")
    for number in range(300):
        one.sign(b"From: a@example.com\r\nX-%d: y\r\n\r\n" % number, NOW)
    assert len(one._plans) <= 100
    assert one.domain == DOMAIN
