from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.rendering.environment import environment
from producer.rendering.errors import BadTemplate
from producer.rendering.html import derive_text, inline_css

NEWSLETTER = Path(__file__).parents[4] / "examples" / "newsletter" / "newsletter.html"


def inlined(body: str, css: str = ".x { color: red }") -> str:
    """The body of a document after inlining."""
    page = inline_css(f"<html><head><style>{css}</style></head><body>{body}</body></html>")
    return page.partition("<body>")[2].partition("</body>")[0]


def test_rules_move_into_the_elements_that_they_select() -> None:
    assert inlined('<p class="x">a</p>') == '<p class="x" style="color: red;">a</p>'


@pytest.mark.parametrize(
    "body",
    [
        "<p>{{ name }} &amp; {{ '<b>' if a < b else \"'\" }}</p>",
        "{% if name %}<p>a</p>{% else %}<p>b</p>{% endif %}",
        '<a href="{{ url }}?a=1&amp;b={{ b }}" title="{% if a %}x{% endif %}">link</a>',
        '<p style="color: {{ color }};width: {{ width }}px">a</p>',
        '<p style="background:{% if a %}#fff{% else %}#000{% endif %}">a</p>',
        "<table><tbody>{% for row in rows %}<tr><td>{{ row }}</td></tr>{% endfor %}</tbody></table>",
        "<!--[if mso]><table><tr><td>{% if a %}{{ b }}{% endif %}<![endif]--><p>a</p>",
        "<!--[if !mso]><!--><p>a</p><!--<![endif]-->",
        "<![if !mso]><p>a</p><![endif]>",
        "{% raw %}{{ not a variable }}{% endraw %}",
        "{%- set a = 1 -%}<p>{{- a -}}</p>",
        "<ul>{% for a in b %}<li>{{ loop.index }}</li>{% endfor %}</ul>",
    ],
)
def test_jinja2_and_conditional_comments_pass_through_unharmed(body: str) -> None:
    assert inlined(body) == body


def test_jinja2_in_the_head_and_before_the_document_stays_where_it_was() -> None:
    source = "{% set a = 1 %}<!DOCTYPE html><html><head><title>{{ a }}{% if b %}!{% endif %}</title></head><body>x</body></html>"
    assert inline_css(source) == source


def test_values_in_a_style_sheet_go_wherever_its_rules_go() -> None:
    body = inlined('<p class="x">a</p><p class="x">b</p>', ".x { color: {{ brand }} }")
    assert body.count("color: {{ brand }}") == 2


def test_media_queries_stay_in_the_style_sheet_and_inlined_rules_leave_it() -> None:
    css = ".x { color: red } @media (prefers-color-scheme: dark) { .x { color: white !important } } a:hover { color: blue }"
    head = inline_css(f"<style>{css}</style><p class='x'>a</p>").partition("</style>")[0]
    assert "prefers-color-scheme: dark" in head
    assert "a:hover" in head
    assert "red" not in head


def test_jinja2_comments_are_left_out() -> None:
    assert inlined("<p>a{# <p>never #}</p>") == "<p>a</p>"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("<p>\n<p {% if a %}class='x'{% endif %}>a</p>", r"line 2: \{% if a %\} cannot stand among attributes"),
        ("<p {{ attributes }}>a</p>", "inside a quoted value"),
        ("<a href={{ url }}>a</a>", "inside a quoted value"),
        ("<style>{% if a %}p{color:red}{% endif %}</style>", "cannot stand in a style sheet"),
        ("<table><tr><td>a</td>{% if b %}{{ b }}{% endif %}</tr></table>", "where HTML allows no text"),
        ("<table>{{ rows }}<tr><td>a</td></tr></table>", "where HTML allows no text"),
        (
            '<p class="x" style="color:red;{% if a %}width:1px;{% endif %}">a</p><style>.x{top:0}</style>',
            "not around declarations",
        ),
        ('<link rel="stylesheet" href="https://example.com/x.css"><p>a</p>', "put the rules into <style>"),
        ("<style>@import url(x.css);</style><p>a</p>", "put the rules into <style>"),
        ("<p>{{ name </p>", "line 1"),
    ],
)
def test_what_could_not_be_kept_is_refused_with_the_way_out(source: str, reason: str) -> None:
    with pytest.raises(BadTemplate, match=reason):
        inline_css(source)


blocks = st.recursive(
    st.sampled_from(
        ["<p class='x'>{{ a }}</p>", "text {{ b|upper }}", "<br>", "<a href='{{ a }}'>{{ b }}</a>", "<hr>", "&lt;"]
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map("".join),
        st.builds("<div>{}</div>".format, inner),
        st.builds("{{% if a %}}{}{{% else %}}{}{{% endif %}}".format, inner, inner),
        st.builds(
            "<table>{{% for c in a %}}<tr><td>{}</td><td>{{{{ c }}}}</td></tr>{{% endfor %}}</table>".format, inner
        ),
    ),
    max_leaves=8,
)


@given(blocks, st.text(st.sampled_from("ab <"), max_size=3), st.text(max_size=3))
def test_a_template_says_the_same_before_and_after(body: str, a: str, b: str) -> None:
    """Rendered and then inlined, or inlined and then rendered: the text that a reader sees is one."""
    page = f"<html><head><style>.x {{ color: red }}</style></head><body>{body}</body></html>"
    before = environment("html").from_string(page).render(a=a, b=b)
    after = environment("html").from_string(inline_css(page)).render(a=a, b=b)
    assert derive_text(before.replace("{", "")) == derive_text(after.replace("{", ""))


def test_a_link_tells_its_address_once() -> None:
    text = derive_text(
        '<a href="https://a.example">Read</a> <a href="https://b.example">https://b.example</a> <a href="#top">Up</a>'
    )
    assert text == "Read (https://a.example) https://b.example Up\n"


def test_mail_addresses_need_no_mailto() -> None:
    assert derive_text('<a href="mailto:ada@example.com">ada@example.com</a>') == "ada@example.com\n"


def test_paragraphs_headings_and_lists_have_lines_of_their_own() -> None:
    source = "<h1>News</h1><p>One\n  two<br>three</p><ul><li>a<li>b</ul><ol><li>c</li><li>d</li></ol>"
    assert derive_text(source) == "News\n\nOne two\nthree\n\n- a\n- b\n\n1. c\n2. d\n"


def test_the_cells_of_a_row_share_a_line() -> None:
    source = "<table><tr><th>Item</th><th>Price</th></tr><tr><td>Tea</td><td>2</td></tr></table>"
    assert derive_text(source) == "Item  Price\nTea  2\n"


def test_what_is_hidden_stays_hidden() -> None:
    source = (
        "<head><title>Title</title><style>p{}</style></head><body><div style='display:none'>Preheader {{ a }}</div>"
        "<p hidden>b</p><span style='font-size:0'>c</span><p style='font-size:0.9em'>Seen</p><!-- remark --></body>"
    )
    assert derive_text(source) == "Seen\n"


def test_images_speak_by_their_alternative_text() -> None:
    assert (
        derive_text('<a href="https://a.example"><img src="x.png" alt="Harbour"></a>')
        == "Harbour (https://a.example)\n"
    )


def test_a_block_that_is_left_out_takes_its_lines_along() -> None:
    text = derive_text("<p>a</p>{% if b %}<p>b</p>{% endif %}<p>c</p>")
    rendered = [environment("text").from_string(text).render(b=b) for b in (True, False)]
    assert rendered == ["a\n\nb\n\nc\n", "a\n\nc\n"]


def test_values_in_the_text_part_are_not_escaped() -> None:
    text = derive_text("<p>{{ name }} &amp; <a href='{{ url }}'>more</a></p>")
    assert environment("text").from_string(text).render(name="A&B", url="https://a.example/?x&y") == (
        "A&B & more (https://a.example/?x&y)\n"
    )


def test_braces_that_are_meant_to_be_read_are_read() -> None:
    text = derive_text("<p>Write &#123;&#123; name }} or &#123;% if %}</p>")
    assert environment("text").from_string(text).render() == "Write {{ name }} or {% if %}\n"


def test_a_block_that_ends_in_hidden_content_cannot_become_text() -> None:
    with pytest.raises(BadTemplate, match="please write one"):
        derive_text("{% if a %}<p>a</p><div style='display:none'>{% endif %}</div>")


def test_the_example_newsletter_reads_well_as_text() -> None:
    text = derive_text(inline_css(NEWSLETTER.read_text()))
    assert text.startswith("THE LONG WAY HOME\n\nAUTUMN LETTER\n")
    assert "Route and huts (https://example.com/ridge)" in text
    assert "Three slow journeys" not in text, "the preheader is not shown"
    assert "\n\n\n" not in text
