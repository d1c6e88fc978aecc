from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.schemas import Tracking
from producer.rendering.environment import environment
from producer.rendering.html import inline_css
from producer.rendering.tracking import redirectable, track

BOTH = Tracking(opens=True, clicks=True)
CLICKS = Tracking(clicks=True)
CONSTANTS = {"campaign_id": "spring", "campaign_name": "Spring & Sons"}


def tracked(html: str, tracking: Tracking = CLICKS):
    return track(html, tracking, CONSTANTS)


def counted(number: int, link: str) -> str:
    """What stands in place of a link."""
    return f"{{% if jetpost_counted %}}{{{{ jetpost_click_url }}}}/{number}{{% else %}}{link}{{% endif %}}"


def test_a_campaign_that_does_not_ask_for_it_is_not_tracked():
    html = '<body><a href="https://shop.example/">Shop</a></body>'
    assert track(html, Tracking(), CONSTANTS) == (html, (), ())


def test_links_of_the_same_address_share_a_number():
    found = tracked(
        "<a href=\"https://a.example/\">A</a><a class=x href=https://b.example/>B</a><area href='https://a.example/'>"
    )
    assert found.links == ("https://a.example/", "https://b.example/")
    assert re.findall(r"}}/(\d)", found.html) == ["1", "2", "1"]
    assert f'class=x href="{counted(2, "https://b.example/")}"' in found.html


@pytest.mark.parametrize(
    "link",
    [
        "mailto:a@example.com",
        "tel:+4712345678",
        "#top",
        "{{ unsubscribe_url }}",
        "/relative",
        "javascript:x",
        "sms:1",
        "",
    ],
)
def test_what_leads_nowhere_in_the_web_or_out_of_the_list_is_left_alone_without_a_word(link):
    html = f'<a href="{link}">x</a>'
    assert tracked(html) == (html, (), ())


@pytest.mark.parametrize(
    "link", ["https://shop.example/{{ id }}", "{{ shop_url }}", "https://x.example/?a={{ a }}&amp;b=1", "https://[x/"]
)
def test_a_link_with_something_of_the_recipient_is_left_alone_and_told(link):
    html = f'<p><a href="{link}">x</a></p>'
    assert tracked(html) == (html, (), (link,))


def test_what_is_the_same_for_the_whole_campaign_may_stand_in_a_link():
    found = tracked(
        '<a href="https://shop.example/?utm={{ campaign_id }}&amp;name={{ campaign_name|urlencode }}">x</a>'
    )
    assert found.links == ("https://shop.example/?utm=spring&name=Spring%20%26%20Sons",)


def test_jinja2_around_and_beside_links_stays_as_it_is():
    html = (
        '{% for x in items %}<tr><td style="color:{{ c }}"><a title="{{ x }}" href=\'https://a.example/\'>{{ x }}</a></td></tr>'
        '{% endfor %}{% if vip %}<a href="https://b.example/">B</a>{% endif %}'
    )
    changed = tracked(html).html
    for number, url in enumerate(("'https://a.example/'", '"https://b.example/"'), 1):
        html = html.replace(url, f"{url[0]}{counted(number, url[1:-1])}{url[0]}")
    assert changed == html


def test_outlooks_buttons_are_links_too():
    html = '<!--[if mso]><v:roundrect href="https://shop.example/" style="v"></v:roundrect><![endif]-->'
    assert tracked(html).links == ("https://shop.example/",)


def test_what_only_looks_like_a_link_is_left_alone():
    html = '<p data-href="https://a.example/">https://b.example/ href="https://c.example/"</p><link href="https://d.example/">'
    assert tracked(html) == (html, (), ())


def test_the_pixel_is_last_in_the_body():
    found = tracked("<html><body><p>Hi</p></body></html>", Tracking(opens=True))
    pixel = r'{% if jetpost_counted %}<img src="{{ jetpost_open_url }}"[^>]*>{% endif %}'
    assert re.search(rf"<p>Hi</p>{pixel}</body></html>$", found.html)
    assert re.search(rf"^<p>Hi</p>{pixel}$", tracked("<p>Hi</p>", Tracking(opens=True)).html)


def test_css_inlined_templates_can_be_tracked():
    source = inline_css(
        "<style>a{color:red}</style><p>{% if x %}<a href='https://a.example/'>{{ x }}</a>{% endif %}</p>"
    )
    found = tracked(source, BOTH)
    assert found.links == ("https://a.example/",)
    assert "color: red" in found.html
    urls = {"jetpost_click_url": "C", "jetpost_open_url": "O"}
    render = environment("html").from_string(found.html).render
    assert 'href="C/1"' in render(x="A", jetpost_counted=True, **urls)
    assert render(x="A", jetpost_counted=False, **urls) == environment("html").from_string(source).render(x="A")


@pytest.mark.parametrize(
    ("url", "made"),
    [
        ("https://shop.example", "https://shop.example"),
        (" https://shop.example/a b?q=ä#ö ", "https://shop.example/a%20b?q=%C3%A4#%C3%B6"),
        ("https://bücher.example:8080/%20x", "https://xn--bcher-kva.example:8080/%20x"),
        ("https://[2001:db8::1]/", "https://[2001:db8::1]/"),
        ("ftp://shop.example/", None),
        ("https:///x", None),
        ("https://user@shop.example/", None),
        ("https://shop.example:port/", None),
        ("//shop.example/", None),
    ],
)
def test_a_link_becomes_what_a_location_header_may_say(url, made):
    assert redirectable(url) == made


@given(st.text())
def test_whatever_stands_in_a_link_cannot_leave_its_header(text):
    made = redirectable(f"https://shop.example/{text}")
    if made is not None:
        assert made.isascii()
        assert made.isprintable()
        assert " " not in made
        assert urlsplit(made).hostname.startswith("shop.example")
