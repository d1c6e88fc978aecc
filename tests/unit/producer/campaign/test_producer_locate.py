from __future__ import annotations

import textwrap
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.campaign.locate import lines_of_keys


def lines(document: str) -> dict[str, int]:
    return {".".join(key): line for key, line in lines_of_keys(textwrap.dedent(document)).items()}


def test_keys_are_found_in_tables_dotted_and_inline() -> None:
    document = """\
    a = 1
    b.c = 2
    "quoted key" = 3
    inline = { x = 1, y = { z = 2 } }
    [table]
    d = 4
    [table.inner]
    e = 5
    [[list]]
    f = 6
    """
    assert lines(document) == {
        "a": 1,
        "b": 2,
        "b.c": 2,
        "quoted key": 3,
        "inline": 4,
        "inline.x": 4,
        "inline.y": 4,
        "table": 5,
        "table.d": 6,
        "table.inner": 7,
        "table.inner.e": 8,
        "list": 9,
        "list.f": 10,
    }


@pytest.mark.parametrize(
    "value",
    [
        '"""\nnot = 1\n[not]\n\\""" # """',
        "'''\nnot = 1\n\\'''",
        "[\n  1, # not = 1\n  'not = 1',\n]",
        '"# not a comment"  # a comment with = and "',
        '[{ x = "}" }]',
        "2027-03-01T18:00:00Z",
    ],
)
def test_what_stands_in_a_value_is_no_key(value: str) -> None:
    document = f"first = {value}\nlast = 1\n"
    tomllib.loads(document)
    assert lines_of_keys(document)[("last",)] == document.count("\n")
    assert not any("not" in part for key in lines_of_keys(document) for part in key)


def test_windows_line_ends_count_once() -> None:
    assert lines_of_keys("a = 1\r\nb = 2\r\n") == {("a",): 1, ("b",): 2}


VALUES = st.sampled_from(["1", '"x"', "'''\nx\n'''", "[\n1,\n]", '"""\nx = 1\n"""', "true", "{ }"])


@given(st.lists(st.tuples(st.booleans(), VALUES), max_size=12))
def test_every_key_of_a_document_is_found_in_its_line(parts: list[tuple[bool, str]]) -> None:
    document, expected, table = "", {}, ()
    for number, (opens_table, value) in enumerate(parts):
        line = document.count("\n") + 1
        if opens_table:
            table = (f"t{number}",)
            expected[table] = line
            document += f"[t{number}]  # comment\n"
        else:
            expected[(*table, f"k{number}")] = line
            document += f"k{number} = {value}\n"
    tomllib.loads(document)
    assert lines_of_keys(document) == expected


@given(st.text("ab=.[]{}\"'#\n, \\", max_size=60))
def test_it_ends_and_never_raises_for_what_tomllib_accepts(document: str) -> None:
    try:
        values = tomllib.loads(document)
    except tomllib.TOMLDecodeError:
        return
    assert {key[0] for key in lines_of_keys(document)} == set(values)
