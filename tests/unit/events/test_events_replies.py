"""Replies are read alike however their bytes are cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import replies
from events.replies import Reply, ReplyReader

words = st.text(st.characters(min_codepoint=32, max_codepoint=0x17F, exclude_characters="\x7f"), max_size=40).map(
    str.strip
)
codes = st.integers(200, 599)


@st.composite
def wire_replies(draw):
    code = draw(codes)
    lines = draw(st.lists(words, min_size=1, max_size=4))
    wire = b"".join(f"{code}{'-' if more else ' '}{text}\r\n".encode() for text, more in with_more(lines))
    return code, wire


def with_more(lines):
    return [(text, number < len(lines)) for number, text in enumerate(lines, 1)]


def cut(data, places):
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@given(st.lists(wire_replies(), max_size=5), st.lists(st.integers(min_value=0), max_size=8))
def test_replies_do_not_depend_on_how_they_are_cut(several, places):
    data = b"".join(wire for _, wire in several)
    whole = ReplyReader().feed(data)
    reader = ReplyReader()
    pieces = [reply for piece in cut(data, places) for reply in reader.feed(piece)]
    assert pieces == whole
    assert [reply.code for reply in whole] == [code for code, _ in several]


@given(st.binary(max_size=300), st.lists(st.integers(min_value=0), max_size=5))
def test_any_bytes_are_replies_or_malformed_and_never_an_exception(data, places):
    reader, whole = ReplyReader(), ReplyReader()
    pieces = [reply for piece in cut(data, places) for reply in reader.feed(piece)]
    assert pieces[: len(whole.feed(data))] == ReplyReader().feed(data)


def test_multi_line_replies_are_joined_and_their_enhanced_codes_taken_off():
    data = b"550-5.1.1 The account does not exist.\r\n550-5.1.1 Check for typos.\r\n550 5.1.1 - gsmtp\r\n"
    assert ReplyReader().feed(data) == [
        Reply(550, "5.1.1", "The account does not exist. Check for typos. - gsmtp"),
    ]


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"250\r\n", Reply(250, "", "")),
        (b"250 \r\n", Reply(250, "", "")),
        (b"250 2.0.0\r\n", Reply(250, "2.0.0", "")),
        (b"250 ok\n", Reply(250, "", "ok")),
        (b"421 5.7.32 not aligned\r\n", Reply(421, "5.7.32", "not aligned")),
        (b"550 #5.1.0 Address rejected.\r\n", Reply(550, "5.1.0", "Address rejected.")),
        (b"550 5.1.12345 x\r\n", Reply(550, "", "5.1.12345 x")),
        (b"550 \xff\r\n", Reply(550, "", "\ufffd")),
    ],
)
def test_single_lines(line, reply):
    assert ReplyReader().feed(line) == [reply]


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n",
        b"\r\n",
        b"25 ok\r\n",
        b"150 no\r\n",
        b"250_ok\r\n",
        b"250-a\r\n550 b\r\n",
        b"x" * (replies.MAX_LINE + 1),
        b"250 " + b"x" * replies.MAX_LINE + b"\r\n",
        b"250-x\r\n" * (replies.MAX_REPLY // 6 + 1),
    ],
)
def test_what_is_no_reply_is_malformed(data):
    reader = ReplyReader()
    assert reader.feed(data) == []
    assert reader.malformed


def test_replies_before_a_malformed_one_still_count():
    reader = ReplyReader()
    assert reader.feed(b"250 ok\r\nnonsense\r\n250 late\r\n") == [Reply(250, "", "ok")]
    assert "nonsense" in reader.malformed


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("550 5.1.1 no such user", Reply(550, "5.1.1", "no such user")),
        ("smtp; 550-5.1.1 no such\n550 5.1.1 user", Reply(550, "5.1.1", "no such user")),
        ("5.1.1 smtp;550 5.1.1 <x@y.org>... User Unknown", Reply(550, "5.1.1", "<x@y.org>... User Unknown")),
        ("550 550 5.1.1 user unknown", Reply(550, "5.1.1", "user unknown")),
        ("450", Reply(450, "", "")),
        ("Connection timed out", Reply(0, "", "Connection timed out")),
        ("", Reply(0, "", "")),
    ],
)
def test_replies_in_logs_and_bounces(text, reply):
    assert replies.parse(text) == reply


@given(st.text(max_size=200))
def test_any_text_can_be_parsed(text):
    assert replies.parse(text).code in range(600)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Greylisted, please try again in 300 seconds", 300),
        ("please retry in 5 minutes", 300),
        ("Try again after 1 hour", 3_600),
        ("greylisted for 60s", 60),
        ("You must wait 10 minutes before trying again", 600),
        ("Deferred. Please come back in 00:04:58", 298),
        ("Try again later", None),
        ("mailbox of user 300 seconds", None),
        ("message size exceeds limit in 5 seconds flat", None),
    ],
)
def test_hints_when_to_come_back(text, seconds):
    assert replies.retry_after_seconds(text) == seconds
