from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jinja2
import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from joining import join
from markupsafe import escape

from producer.rendering import segments
from producer.rendering.environment import Kind, environment

FIELDS = ("first", "city", "points", "absent")

constants = st.text(st.sampled_from("ab &<>\"'é𝄞 \n\t}%#"), max_size=12)
fields = st.sampled_from(FIELDS)
literals = st.sampled_from(['"x"', "'<b>'", '"ß"', "0", "12.5", "none", "true"])
filters = st.sampled_from(
    [
        "upper",
        "lower",
        "title",
        "capitalize",
        "trim",
        'default("<none>")',
        'd("", true)',
        "default('you', boolean=true)",
    ]
)


@st.composite
def expressions(draw: st.DrawFn) -> str:
    start = draw(st.one_of(fields, fields, literals))
    return "|".join([start, *draw(st.lists(filters, max_size=2))])


conditions = st.one_of(
    expressions(),
    st.builds("not {}".format, expressions()),
    st.builds("{} is defined".format, fields),
    st.builds("{} {} {}".format, expressions(), st.sampled_from(["==", "!=", "<", ">=", "and", "or"]), expressions()),
)
values_printed = st.builds(
    "{{{{{}{}{}}}}}".format, st.sampled_from([" ", "- "]), expressions(), st.sampled_from([" ", " -"])
)


def choices(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    alternatives = st.lists(st.builds("{{% elif {} %}}{}".format, conditions, inner), max_size=2).map("".join)
    otherwise = st.one_of(st.just(""), st.builds("{{%- else -%}}{}".format, inner))
    return st.builds("{{% if {} %}}{}{}{}{{% endif %}}".format, conditions, inner, alternatives, otherwise)


templates = st.recursive(
    st.one_of(constants, values_printed, st.just("{# a remark #}")),
    lambda inner: st.one_of(st.lists(inner, max_size=4).map("".join), choices(inner)),
    max_leaves=12,
)
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=10),
    st.lists(st.text(max_size=3), max_size=2),
)
rows = st.fixed_dictionaries({"first": values, "city": st.text(max_size=10)}, optional={"points": values})


def outcome(render: Callable[[dict[str, Any]], str], row: dict[str, Any]) -> str | None:
    """What comes out; None where something is raised. Of two errors in a template either may come first."""
    try:
        return render(row)
    except Exception:
        return None


@given(st.sampled_from(["html", "text"]), templates, rows)
def test_segments_render_exactly_what_jinja2_renders(kind: Kind, source: str, row: dict[str, Any]) -> None:
    parsed = segments.parse(environment(kind), source)
    assert parsed is not None
    joined = join(parsed, lambda value: str(escape(value)) if kind == "html" else str(value))
    expected = outcome(environment(kind).from_string(source).render, row)
    event("raises" if expected is None else "renders")
    assert outcome(joined, row) == expected


@pytest.mark.parametrize(
    "source",
    [
        "{% for tag in tags %}{{ tag }}{% endfor %}",
        "{% set name = first %}{{ name }}",
        "{{ first ~ city }}",
        "{{ first.upper() }}",
        "{{ tags[0] }}",
        "{{ first|replace('a', 'b') }}",
        "{{ first|default(city) }}",
        "{{ 'a' if first else 'b' }}",
        "{% macro m() %}{% endmacro %}",
        "{{ self }}",
        "{% if first is string %}a{% endif %}",
    ],
)
def test_what_goes_beyond_values_and_conditions_is_left_to_jinja2(source: str) -> None:
    assert segments.parse(environment("html"), source) is None


def test_constant_text_is_one_segment() -> None:
    assert segments.parse(environment("html"), "a{# b #}c{% raw %}{{ d }}{% endraw %}") == ("ac{{ d }}",)


def test_an_undefined_name_is_an_error_and_not_an_empty_place() -> None:
    parsed = segments.parse(environment("text"), "Dear {{ nmae }}")
    assert parsed is not None
    with pytest.raises(jinja2.UndefinedError, match="'nmae' is undefined"):
        join(parsed, str)({"name": "Ada"})
