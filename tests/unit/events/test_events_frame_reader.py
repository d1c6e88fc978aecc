from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.compression import FrameReader, FrameRefused, compress


@given(st.lists(st.binary(max_size=200), max_size=5), st.integers(1, 50))
def test_the_contents_of_all_frames_come_in_order(contents: list[bytes], step: int) -> None:
    reader = FrameReader(io.BytesIO(b"".join(map(compress, contents))))
    assert b"".join(iter(lambda: reader.read(step), b"")) == b"".join(contents)


@given(st.binary(max_size=100), st.data())
def test_a_frame_cut_short_is_never_taken_for_the_end(content: bytes, data: st.DataObject) -> None:
    whole = compress(content)
    cut = data.draw(st.integers(1, len(whole) - 1))
    with pytest.raises(EOFError):
        io.BufferedReader(FrameReader(io.BytesIO(compress(b"before") + whole[:cut]))).read()


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(FrameRefused):
        FrameReader(io.BytesIO(compress(b"x") + b"no frame")).read()
