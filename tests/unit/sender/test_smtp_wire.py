"""Messages and envelopes as they go over the wire, against the plain way of making them."""

import re

import pytest
from aiosmtplib.protocol import PERIOD_REGEX, normalize_message_line_endings
from hypothesis import given
from hypothesis import strategies as st

from sender.drivers import smtp_wire
from sender.drivers.base import Outbound
from sender.drivers.smtp_wire import Extensions

ALL = Extensions(pipelining=True, eight_bit=True, smtputf8=True, size=True, max_size=1_000)
tricky = st.lists(st.sampled_from([b"\r\n", b"\n", b"\r", b".", b"..", b"a", b"bc.d", b"\x00\xff"]), max_size=30).map(
    b"".join
)


def mail(recipient="ada@example.org", message=b"Subject: x\r\n\r\nhello\r\n", return_path="b@example.com", **more):
    return Outbound("id", recipient, return_path, message, **more)


@given(tricky | st.binary(max_size=200))
def test_dot_stuffing_is_what_aiosmtplib_does(message):
    plain = PERIOD_REGEX.sub(b"..", normalize_message_line_endings(message)) if message else b""
    assert smtp_wire.dot_stuffed(smtp_wire.with_crlf(message)) == plain


@given(tricky)
def test_no_message_can_end_itself_early(message):
    wire = b"\r\n" + smtp_wire.dot_stuffed(smtp_wire.with_crlf(message)) + smtp_wire.END
    assert wire.index(b"\r\n.\r\n") == len(wire) - 5
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", wire)


def test_a_message_that_needs_no_change_is_not_copied():
    message = b"Subject: x\r\n\r\nhello\r\n"
    assert smtp_wire.dot_stuffed(smtp_wire.with_crlf(message)) is message


def test_the_envelope_is_one_group_that_ends_with_data():
    assert smtp_wire.envelope(mail(), ALL) == (
        b"MAIL FROM:<b@example.com> SIZE=21\r\nRCPT TO:<ada@example.org>\r\nDATA\r\n"
    )


def test_with_chunking_there_is_no_data_command():
    assert smtp_wire.envelope(mail(), Extensions(chunking=True)).endswith(b"RCPT TO:<ada@example.org>\r\n")


@pytest.mark.parametrize(
    ("outbound", "extensions", "parameters"),
    [
        (mail(), Extensions(), ""),
        (mail(message="é".encode()), ALL, " SIZE=2 BODY=8BITMIME"),
        (mail(message="é".encode()), Extensions(), ""),
        (mail(recipient="adé@example.org"), ALL, " SIZE=21 SMTPUTF8"),
        (mail(smtputf8=True), ALL, " SIZE=21 SMTPUTF8"),
    ],
)
def test_parameters_are_given_where_offered_and_needed(outbound, extensions, parameters):
    assert smtp_wire.mail_parameters(outbound, extensions) == parameters


@pytest.mark.parametrize(
    ("outbound", "extensions", "reason"),
    [
        (mail(smtputf8=True), Extensions(), "smtputf8_not_offered"),
        (mail(recipient="adé@example.org"), Extensions(), "smtputf8_not_offered"),
        (mail(message=b"x" * 1_001), ALL, "too_large"),
        (mail(recipient="a@b.org>\r\nRCPT TO:<c@d.org"), ALL, "bad_address"),
        (mail(return_path="a b@c.org"), ALL, "bad_address"),
    ],
)
def test_what_the_server_cannot_take_is_not_sent(outbound, extensions, reason):
    with pytest.raises(smtp_wire.Unsendable, match=reason):
        smtp_wire.check(outbound, extensions)


def test_the_null_return_path_is_fine():
    smtp_wire.check(mail(return_path=""), ALL)
    assert smtp_wire.envelope(mail(return_path=""), ALL).startswith(b"MAIL FROM:<> ")


def test_extensions_are_read_from_ehlo_keywords():
    offered = {"pipelining": "", "size": "1000", "8bitmime": "", "smtputf8": ""}
    assert smtp_wire.extensions_of(offered) == ALL
    assert smtp_wire.extensions_of({"size": ""}) == Extensions(size=True)


PARTS = Extensions(), Extensions(size=True), ALL, ALL._replace(chunking=True), ALL._replace(smtputf8=False)
addresses = st.sampled_from(["ada@example.org", "adé@example.org", "a b@c.org", "a>@b.org", "", "x" * 70 + "@y.org"])
outbounds = st.builds(
    Outbound,
    st.just("id"),
    addresses,
    addresses,
    tricky | st.just(b"x" * 999) | st.just(b"x" * 1_001),
    st.sampled_from([False, False, True]),
    st.just(False),
)


@given(st.sampled_from(PARTS), st.lists(outbounds, max_size=6))
def test_a_writer_writes_what_the_single_steps_do(extensions, mails):
    writer = smtp_wire.Writer(extensions)
    for one in mails:
        plain = one._replace(message=smtp_wire.with_crlf(one.message))
        try:
            smtp_wire.check(plain, extensions)
        except smtp_wire.Unsendable as reason:
            with pytest.raises(smtp_wire.Unsendable, match=f"^{reason}$"):
                writer.write(one)
        else:
            assert writer.write(one) == (smtp_wire.envelope(plain, extensions), plain.message)


@given(st.sampled_from(PARTS), tricky)
def test_a_writer_looks_for_line_ends_only_where_they_are_not_known(extensions, message):
    known = mail(message=smtp_wire.with_crlf(message), in_lines=True)
    looked_at = smtp_wire.Writer(extensions).write(known._replace(in_lines=False))
    assert smtp_wire.Writer(extensions).write(known) == looked_at
    assert smtp_wire.Writer(extensions).write(known)[1] is known.message
