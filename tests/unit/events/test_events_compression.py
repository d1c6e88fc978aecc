from __future__ import annotations

import contextlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from events.compression import MAX_CONTENT_BYTES, Compressor, Decompressor, FrameRefused, compress, decompress

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
