"""The table of suppressed addresses says what a dictionary would say."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from events.suppression_table import Table

KEYS = st.binary(min_size=16, max_size=16) | st.integers(0, 40).map(
    lambda n: hashlib.blake2b(bytes([n]), digest_size=16).digest()
)
NUMBERS = st.integers(1, (1 << 64) - 1)
STEPS = st.one_of(
    st.tuples(st.just("raise"), st.lists(st.tuples(KEYS, NUMBERS), max_size=30)),
    st.tuples(st.just("set"), st.lists(st.tuples(KEYS, NUMBERS | st.just(0)), max_size=5)),
)


@given(st.lists(STEPS, max_size=20))
def test_a_table_holds_what_a_dictionary_would(steps):
    table, model = Table(), {}
    for kind, pairs in steps:
        if kind == "raise":
            table.raise_to(b"".join(key for key, _ in pairs), [number for _, number in pairs])
            for key, number in pairs:
                model[key] = max(number, model.get(key, 0))
        else:
            for key, number in pairs:
                assert table.set(key, number) == model.get(key, 0)
                model[key] = number
    assert {key: table.get(key) for key in model} == model
    assert table.count == sum(number > 0 for number in model.values())
    assert sorted(table) == sorted(number for number in model.values() if number)


def test_it_grows_and_still_knows_everybody():
    keys = [hashlib.blake2b(str(n).encode(), digest_size=16).digest() for n in range(60_000)]
    table = Table()
    table.raise_to(b"".join(keys[:50_000]), range(1, 50_001))
    assert [table.get(key) for key in keys[:50_000]] == list(range(1, 50_001))
    assert not any(table.get(key) for key in keys[50_000:])


def test_of_keys_that_differ_only_in_what_chooses_the_shard_each_is_its_own():
    table = Table()
    table.raise_to(b"\1" + bytes(15), [7])
    assert (table.get(b"\1" + bytes(15)), table.get(b"\2" + bytes(15))) == (7, 0)
