"""The canonical form is dkimpy's, for anything that can be on the wire."""

import pytest
from dkim import rfc822_parse
from dkim.canonicalization import Relaxed
from hypothesis import example, given
from hypothesis import strategies as st

from sender.dkim import canonical
from sender.drivers.smtp_wire import with_crlf

WHITE = st.sampled_from([b" ", b"\t", b"  ", b" \t ", b"\r\n"])
TEXT = st.binary(max_size=6).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b""))
BODIES = st.lists(st.one_of(WHITE, TEXT), max_size=30).map(lambda parts: with_crlf(b"".join(parts)))

NAMES = st.from_regex(rb"[A-Za-z][A-Za-z-]{0,12}", fullmatch=True)
WORDS = st.binary(min_size=1, max_size=8).map(lambda raw: bytes(c for c in raw if c > 32) or b"x")
FOLDS = st.sampled_from([b" ", b"\t", b"  \t", b"\r\n ", b"\r\n\t", b" \r\n  "])
VALUES = st.lists(st.one_of(WORDS, FOLDS), max_size=8).map(b"".join)
FIELDS = st.lists(st.tuples(NAMES, VALUES), min_size=1, max_size=8)


@given(BODIES)
@example(b"")
@example(b"\r\n")
@example(b" \r\n\t\r\n")
@example(b"a \t b \r\n\r\n \r\n")
@example("grüße  \r\n".encode())
def test_a_body_is_what_dkimpy_makes_of_it(body):
    assert canonical.body(body) == Relaxed.canonicalize_body(body)


@given(FIELDS, BODIES)
def test_a_header_is_what_dkimpy_makes_of_it(fields, body):
    head = b"\r\n".join(b"%b:%b" % field for field in fields)
    message = head + b"\r\n\r\n" + body
    parsed, its_body = rfc822_parse(message)
    theirs = [b"%b:%b" % field for field in Relaxed.canonicalize_headers(parsed)]
    found_head, found_body = canonical.split(message)
    found = canonical.fields(found_head)
    assert found.lines == theirs
    assert list(found.names) == [name.lower() for name, _ in fields]
    assert canonical.body(found_body) == Relaxed.canonicalize_body(its_body)


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        (b"A: 1\r\nB: 2\r\n\r\nbody\r\n", (b"A: 1\r\nB: 2", b"body\r\n")),
        (b"A: 1\r\n\r\n", (b"A: 1", b"")),
        (b"A: 1\r\n", (b"A: 1\r\n", b"")),
        (b"\r\nbody\r\n\r\nmore\r\n", (b"", b"body\r\n\r\nmore\r\n")),
    ],
)
def test_header_and_body_are_told_apart_at_the_first_empty_line(message, parts):
    assert canonical.split(message) == parts


def test_no_header_has_no_fields():
    assert canonical.fields(b"") == ((), [])


def test_a_header_without_a_body_has_its_fields():
    assert canonical.fields(b"A: 1\r\n").lines == [b"a:1\r\n"]


def test_white_space_around_the_colon_does_not_count():
    assert canonical.fields(b"Subject \t:\t x").lines == [b"subject:x\r\n"]


def test_only_blanks_and_tabs_are_white_space():
    assert canonical.fields("Subject: \x0b a\xa0".encode()).lines == ["subject:\x0b a\xa0\r\n".encode()]
