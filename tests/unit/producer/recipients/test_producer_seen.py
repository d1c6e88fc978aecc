from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from producer.recipients.seen import Seen

# Few distinct bytes behind a fixed beginning: all in one bucket, with entries that overlap each other in every way.
CROWDED = st.binary(min_size=8, max_size=8).map(lambda tail: b"\0\0" + bytes(byte % 2 for byte in tail))


@given(st.lists(CROWDED | st.binary(min_size=10, max_size=10), max_size=200))
def test_it_agrees_with_a_set(digests: list[bytes]) -> None:
    seen, reference = Seen(), set()
    for digest in digests:
        assert seen.add(digest) == (digest not in reference)
        reference.add(digest)


def test_digests_that_differ_in_one_bit_are_told_apart() -> None:
    digests = [(1 << bit).to_bytes(10, "big") for bit in range(80)]
    seen = Seen()
    assert all(seen.add(digest) for digest in digests)
    assert not any(seen.add(digest) for digest in digests)
