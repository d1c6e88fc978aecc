from __future__ import annotations

import jinja2
import pytest

from producer.rendering.environment import environment


@pytest.mark.parametrize(
    "source",
    ["{{ name.__class__.__mro__ }}", "{{ ''.__class__ }}", "{{ items.append('x') }}", "{{ '%s'.__mod__('x') }}"],
)
def test_templates_reach_neither_python_nor_the_values_of_others(source: str) -> None:
    with pytest.raises((jinja2.exceptions.SecurityError, jinja2.UndefinedError)):
        environment("text").from_string(source).render(name="Ada", items=[])


@pytest.mark.parametrize("name", ["range", "lipsum", "cycler", "joiner", "namespace", "dict"])
def test_templates_see_nothing_but_their_values(name: str) -> None:
    with pytest.raises(jinja2.UndefinedError):
        environment("text").from_string(f"{{{{ {name}() }}}}").render()


@pytest.mark.parametrize("name", ["random", "pprint", "tojson", "xmlattr"])
def test_filters_that_have_no_place_in_a_mail_do_not_exist(name: str) -> None:
    with pytest.raises(jinja2.TemplateSyntaxError, match="No filter named"):
        environment("text").from_string(f"{{{{ name|{name} }}}}")


def test_values_are_escaped_in_html_and_left_alone_in_text() -> None:
    rendered = [environment(kind).from_string("{{ name }}\n").render(name="<Ada>") for kind in ("html", "text")]
    assert rendered == ["&lt;Ada&gt;\n", "<Ada>\n"]
