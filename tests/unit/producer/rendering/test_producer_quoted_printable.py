from __future__ import annotations

import quopri
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from joining import join
from markupsafe import escape

from producer.rendering import quoted_printable as qp
from producer.rendering import segments
from producer.rendering.environment import environment

texts = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("aaaaaaa     =.\n\r\t<&é漢🎉")), max_size=200
)


def unified(text: str) -> str:
    """CRLF at every line end, as in a message."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")


def decoded(body: str) -> str:
    return quopri.decodestring(body.encode("ascii")).decode("utf-8")


def assert_well_formed(body: str) -> None:
    """RFC 2045 §6.7: at most 76 characters on a line, no white space at its end, printable ASCII."""
    for line in body.split("\r\n"):
        assert len(line) <= 76
        assert not line.endswith((" ", "\t"))
        assert all(character == "\t" or " " <= character <= "~" for character in line)


@given(texts)
def test_whole_bodies_survive(text: str) -> None:
    body = qp.encode_body(text)
    assert_well_formed(body)
    assert decoded(body) == unified(text)


@given(texts, st.integers(0, 75))
def test_text_can_be_encoded_for_any_column_of_a_line(text: str, column: int) -> None:
    body = qp.encode(text, column)
    assert_well_formed("x" * column + body)
    assert decoded(body) == unified(text)


names = ["a", "b", "c"]
pieces_of_template = st.one_of(
    texts.filter(lambda text: "{" not in text), st.sampled_from([f"{{{{ {n} }}}}" for n in names])
)
sequences = st.lists(pieces_of_template, max_size=8).map("".join)
choices = st.builds("{}{{% if a %}}{}{{% else %}}{}{{% endif %}}{}".format, sequences, sequences, sequences, sequences)
rows = st.fixed_dictionaries({name: st.one_of(texts, st.text("Ada -", max_size=100), st.integers()) for name in names})


@given(st.one_of(sequences, choices), rows)
def test_a_body_joined_from_encoded_segments_decodes_to_the_rendered_text(source: str, row: dict[str, Any]) -> None:
    row = {
        name: unified(value).replace("\r\n", "\n") if isinstance(value, str) else value for name, value in row.items()
    }
    for kind, write in (("text", qp.write_text), ("html", qp.write_html)):
        parsed = segments.parse(environment(kind), source)
        assert parsed is not None
        body = join(qp.lay_out(parsed), write)(row)
        assert_well_formed(body)
        assert decoded(body) == unified(environment(kind).from_string(source).render(row))


@given(st.one_of(texts, st.text("abc <>&'\"=", max_size=60), st.integers(), st.none()))
def test_values_are_escaped_as_jinja2_escapes_them(value: object) -> None:
    assert decoded(qp.write_html(value)) == unified(str(escape(value)))


def test_an_ordinary_sentence_stays_readable_in_the_source_of_the_mail() -> None:
    parsed = segments.parse(environment("text"), "Dear {{ name }}, see you in {{ city }} soon.\n")
    assert parsed is not None
    body = join(qp.lay_out(parsed), qp.write_text)({"name": "Ada", "city": "Lisbon"})
    assert body == "Dear Ada, see you in Lisbon soon.\r\n"


def test_a_long_value_gets_lines_of_its_own() -> None:
    parsed = segments.parse(environment("text"), "Go to {{ url }} now")
    assert parsed is not None
    body = join(qp.lay_out(parsed), qp.write_text)({"url": "https://example.com/" + "x" * 70})
    assert body.split("\r\n") == ["Go to =", "https://example.com/" + "x" * 55 + "=", "x" * 15 + "=", " now"]
