from __future__ import annotations

import pytest

from events import forms
from events.forms import Blank, Choice, Filler, Form

NAME_IN_TEXT, NAME_IN_HTML, CITY = Blank(0, 0), Blank(0, 1), Blank(1, 0)
FORM = Form(
    (
        "Dear ",
        NAME_IN_TEXT,
        Choice(0, ((" of ", CITY), ("", Choice(1, (("!",), ("?",)))))),
        " <b>",
        NAME_IN_HTML,
        "</b>",
        Choice(0, ((), (" from nowhere",))),
    ),
    decisions=2,
)


@pytest.mark.parametrize(
    ("filling", "text"),
    [
        (["0-", "Ada", "Oslo"], "Dear Ada of Oslo <b>Ada</b>"),
        (["10", "Ada"], "Dear Ada! <b>Ada</b> from nowhere"),
        (["11,0", "A&B", "A&amp;B"], "Dear A&B? <b>A&amp;B</b> from nowhere"),
        (["0-,0", "A&B", "A&amp;B", "Oslo"], "Dear A&B of Oslo <b>A&amp;B</b>"),
        (["0-,0", "Ada", "Zoë", "Zürich"], "Dear Ada of Zürich <b>Zoë</b>"),
    ],
)
def test_a_filling_decides_and_fills_the_blanks(filling: list[str], text: str) -> None:
    filler = Filler(FORM)
    assert filler.fill(filling) == text
    assert filler.fill(filling) == text
    if text.isascii():
        assert filler.length(filling) == len(text)


def test_the_fields_that_are_wanted_depend_on_the_decisions() -> None:
    assert forms.wanted(FORM, "0-") == {0: [0, 1], 1: [0]}
    assert forms.wanted(FORM, "10") == {0: [0, 1]}


@pytest.mark.parametrize("filling", [[], ["0-"], ["0-", "Ada"], ["0-", "a", "b", "c"], ["", "a"], ["3-", "a"], ["x"]])
def test_what_belongs_to_another_form_is_an_error(filling: list[str]) -> None:
    with pytest.raises((ValueError, LookupError)):
        Filler(FORM).fill(filling)


def test_a_form_without_blanks_or_with_one_is_a_form() -> None:
    assert Filler(Form(("a",))).fill([""]) == "a"
    assert Filler(Form((CITY,))).fill(["", "Oslo"]) == "Oslo"


def test_shapes_are_forgotten_before_they_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "SHAPES_KEPT", 2)
    filler = Filler(Form((CITY, Choice(0, ((), ("1",), ("2",), ("3",)))), 1))
    assert [filler.fill([str(number % 4), "x"]) for number in range(8)] == ["x", "x1", "x2", "x3"] * 2
