from __future__ import annotations

import contextlib
import re

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from events.compression import (
    MAX_CONTENT_BYTES,
    MAX_FILLING_BYTES,
    Compressor,
    Decompressor,
    Dictionary,
    FrameRefused,
    compress,
    decompress,
    encode_dictionary,
)
from events.forms import Blank, Form

MAIL = "".join(f"<tr><td style='padding:{n}px'>Paragraph {n * 7919} for Ada</td></tr>\r\n" for n in range(150)).encode()


@given(st.binary(max_size=2_000), st.lists(st.binary(max_size=2_000), max_size=5))
def test_every_mail_comes_back_whatever_the_dictionary(dictionary: bytes, mails: list[bytes]) -> None:
    compressor, decompressor = Compressor(dictionary), Decompressor(dictionary)
    assert [decompressor.decompress(compressor.compress(mail)) for mail in mails] == mails


@given(st.binary(max_size=5_000))
def test_every_blob_comes_back(data: bytes) -> None:
    assert decompress(compress(data)) == data


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_or_restored_and_nothing_else(data: bytes) -> None:
    with contextlib.suppress(FrameRefused):
        assert isinstance(decompress(data), bytes)


def test_a_mail_like_the_first_takes_less_than_a_hundred_bytes() -> None:
    frame = Compressor(MAIL).compress(MAIL.replace(b"Ada", b"Grace", 3))
    assert len(frame) < 100


def test_the_dictionary_of_another_campaign_is_noticed() -> None:
    frame = Compressor(MAIL).compress(MAIL)
    with pytest.raises(FrameRefused):
        Decompressor(MAIL.replace(b"Paragraph", b"paragraph")).decompress(frame)


def test_a_frame_that_claims_too_much_is_refused_before_it_is_unpacked() -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(MAX_CONTENT_BYTES + 1))
    with pytest.raises(FrameRefused, match="claims 33554433 bytes"):
        decompress(bomb)


def test_a_frame_that_hides_its_size_is_refused() -> None:
    frame = zstandard.ZstdCompressor(write_content_size=False).compress(b"x" * 100)
    with pytest.raises(FrameRefused, match="claims"):
        decompress(frame)


def test_a_frame_cut_short_is_refused() -> None:
    with pytest.raises(FrameRefused):
        decompress(compress(MAIL)[:-1])


def test_bytes_after_the_frame_are_refused() -> None:
    with pytest.raises(FrameRefused):
        decompress(compress(MAIL) + b"more")


FORM = Form(("Dear ", Blank(0, 0), ", bye\r\n"))
DICTIONARY = encode_dictionary(Dictionary(b"Dear Ada, bye\r\n", FORM))


@given(st.text(max_size=200))
def test_a_filling_becomes_the_mail_and_lies_beside_compressed_ones(name: str) -> None:
    compressor, decompressor = Compressor(DICTIONARY), Decompressor(DICTIONARY)
    mail = f"Dear {name}, bye\r\n".encode()
    assert compressor.form == FORM
    assert decompressor.decompress(compressor.pack(["", name])) == mail
    assert decompressor.decompress(compressor.compress(mail)) == mail


def test_a_filling_of_another_form_is_noticed() -> None:
    other = encode_dictionary(Dictionary(b"", Form(("Dear ", Blank(0, 0), ", hello\r\n"))))
    frame = Compressor(other).pack(["", "Ada"])
    for dictionary in (DICTIONARY, b"Dear Ada, bye\r\n"):
        with pytest.raises(FrameRefused):
            Decompressor(dictionary).decompress(frame)


@given(st.integers(0, 15), st.integers(1, 255))
def test_a_damaged_filling_is_refused(place: int, change: int) -> None:
    frame = bytearray(Compressor(DICTIONARY).pack(["", "Ada"]))
    frame[place % len(frame)] ^= change
    with pytest.raises(FrameRefused):
        Decompressor(DICTIONARY).decompress(bytes(frame))


@given(st.lists(st.one_of(st.text(max_size=5), st.just("7,x"), st.just(""))))
def test_what_does_not_fit_the_form_is_refused(filling: list[str]) -> None:
    frame = Compressor(DICTIONARY).pack(filling)
    with contextlib.suppress(FrameRefused):
        assert Decompressor(DICTIONARY).decompress(frame).startswith(b"Dear ")


def test_a_filling_longer_than_fillings_are_is_refused() -> None:
    with pytest.raises(FrameRefused, match="too long"):
        Decompressor(DICTIONARY).decompress(Compressor(DICTIONARY).pack(["", "x" * MAX_FILLING_BYTES]))


line_ends = st.sampled_from(["", "a", "\r", "\n", "\r\n", "\r\n", "ü\r\n"])
texts = st.lists(line_ends, max_size=4).map("".join)


@given(st.lists(texts, min_size=1, max_size=4), st.lists(texts, max_size=3))
def test_what_is_said_to_be_in_lines_is(constant: list[str], values: list[str]) -> None:
    parts = [part for number, text in enumerate(constant) for part in (text, Blank(number, 0))][
        : len(constant) + len(values)
    ]
    dictionary = encode_dictionary(Dictionary(b"", Form(tuple(parts))))
    blanks = sum(isinstance(part, Blank) for part in parts)
    filling = ["", *(values + ["v"] * blanks)[:blanks]]
    mail, in_lines = Decompressor(dictionary).restore(Compressor(dictionary).pack(filling))
    assert mail == "".join(filling[1 + part.field] if isinstance(part, Blank) else part for part in parts).encode()
    if in_lines:
        assert re.fullmatch(rb"(?:[^\r\n]*\r\n)+", mail)


@pytest.mark.parametrize(
    ("parts", "value", "in_lines"),
    [
        (("Dear ", Blank(0, 0), ",\r\nbye\r\n"), "Ada", True),
        (("Dear ", Blank(0, 0), ",\r\nbye\r\n"), "Ada\n", False),
        (("Dear ", Blank(0, 0), ",\r\nbye\r\n"), "Ada\r", False),
        (("Dear ", Blank(0, 0), ",\r\nbye\r\n"), "Ada=\r\n", True),
        (("Dear ", Blank(0, 0), ",\r\nbye\r\n"), "\n" + "x" * 0x10C, False),
        (("Dear ", Blank(0, 0), ",\nbye\r\n"), "Ada", False),
        (("Dear\r", Blank(0, 0), "\nbye\r\n"), "", False),
        (("Dear ", Blank(0, 0)), "Ada", False),
        (("Dear ", Blank(0, 0), ",\r\nbye"), "Ada", False),
    ],
)
def test_line_ends_are_known_from_the_form_and_the_values(
    parts: tuple[str | Blank, ...], value: str, in_lines: bool
) -> None:
    dictionary = encode_dictionary(Dictionary(b"", Form(parts)))
    assert Decompressor(dictionary).restore(Compressor(dictionary).pack(["", value]))[1] is in_lines


def test_of_a_whole_mail_nothing_is_known() -> None:
    assert Decompressor(MAIL).restore(Compressor(MAIL).compress(MAIL)) == (MAIL, False)
