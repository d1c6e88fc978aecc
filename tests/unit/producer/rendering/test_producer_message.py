from __future__ import annotations

import email
import email.policy
import re
from contextlib import suppress
from email.message import EmailMessage
from typing import Any

import email_message_reference as reference
import fast_mail_parser
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.addresses import identity
from events.compression import MAX_FILLING_BYTES, Compressor, Decompressor, encode_dictionary
from events.schemas import Tracking
from events.tokens import Signer
from producer.campaign.compiled import CompiledCampaign, Mailbox, Unsubscribe
from producer.recipients.addresses import normalise
from producer.recipients.recipient import Recipient
from producer.rendering.errors import BadTemplate, Unrenderable
from producer.rendering.renderer import Rendered, Renderer, compile_campaign
from producer.settings import ProducerSettings

SETTINGS = ProducerSettings(link_secret=reference.SECRET)
CAMPAIGN = CompiledCampaign(
    id="autumn-letter",
    name="Autumn letter",
    pool="main",
    created_at=1_800_000_000,
    from_=Mailbox("letters@news.example.com", "The Letters, Inc."),
    reply_to=(Mailbox("maren@example.com", "Maren Ø"), Mailbox("desk@example.com")),
    return_path="bounces@news.example.com",
    subject="{{ name }}, news from {{ city }}",
    html="<p class='x'>Dear {{ name }},</p>\n<p>{% if city %}{{ city }} = 🎉{% endif %}</p>"
    "<a href='{{ unsubscribe_url }}'>{{ email }}</a>\n",
    text="Dear {{ name }},\n\n{{ city|upper }} is ∞ far.\n.\nFrom here  \n{{ unsubscribe_url }}\n",
    headers=(("X-City", "{{ city }}"), ("X-Kind", "letter")),
    fields=("name", "city"),
    public_url="https://news.example.com",
    feedback_id=("autumn-letter", "main", "letter", "example"),
    message_id_domain="news.example.com",
)
TRACKED = msgspec.structs.replace(
    CAMPAIGN,
    html="<p><a href='{% if jetpost_counted %}{{ jetpost_click_url }}/1{% else %}https://shop.example/{% endif %}'>{{ name }}</a>"
    "{% if city %}<a href='{% if jetpost_counted %}{{ jetpost_click_url }}/12{% else %}https://shop.example/x{% endif %}'>"
    "{{ city }}</a>{% endif %}</p>\n<a href='{{ unsubscribe_url }}'>x</a>"
    "{% if jetpost_counted %}<img src='{{ jetpost_open_url }}'>{% endif %}</body>\n",
    tracking=Tracking(opens=True, clicks=True),
    links=tuple(f"https://shop.example/{number}" for number in range(1, 13)),
)
WHOLE = msgspec.structs.replace(TRACKED, html="{% for c in name %}{{ c }}{% endfor %}" + TRACKED.html)
"""What only Jinja2 itself can render."""

printable = st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])
nasty = st.sampled_from(
    [
        *(
            "Zoë",
            "O'Brien & <Sons>",
            'Ada "the Countess" Lovelace',
            "=?utf-8?q?Eve?=",
            "山田太郎",
            "مرحبا يا آدا",
            "👩‍👩‍👧‍👦",
            "a\u0301",
        ),
        *(
            "x" * 300,
            "word " * 80 + "end",
            "é" * 200,
            "trailing \u00a0",
            "a=b",
            "..",
            "From me",
            "{{ name }}",
            "%s",
            "\\",
        ),
    ]
)
names = st.one_of(nasty, st.text(printable, max_size=60), st.text('abc ,;:"<>@()=?_', max_size=100))
addresses = st.sampled_from(
    [
        "ada@gmail.com",
        "ada+tag@bücher.example",
        "o'brien!x@example.com",
        "zoë@example.com",
        "用户@例子.广告",
        "a" * 60 + "@example.com",
        "someone.with.a.longer.name@mail.example.com",
        "somebody.with.a.name@mail.example.com",
    ]
)


def recipient(address: str = "ada@gmail.com", name: Any = "Ada", city: Any = "Lisbon") -> Recipient:
    found = normalise(address)
    return Recipient(found.address, found.provider, found.smtputf8, (name, city))


def render(campaign: CompiledCampaign = CAMPAIGN, to: Recipient | None = None) -> Rendered:
    return compile_campaign(campaign, SETTINGS).render(to or recipient())


def parse(message: bytes) -> EmailMessage:
    return email.message_from_string(message.decode("utf-8"), policy=email.policy.SMTPUTF8)


def bodies(message: EmailMessage) -> dict[str, str]:
    parts = [part for part in message.walk() if not part.is_multipart()]
    return {part.get_content_type(): part.get_content().replace("\r\n", "\n").rstrip("\n") for part in parts}


def lines_of(message: bytes) -> list[bytes]:
    assert message.endswith(b"\r\n")
    assert message.count(b"\n") == message.count(b"\r") == message.count(b"\r\n")
    return message.split(b"\r\n")


# EmailMessage decodes what looks like an encoded word even in a value that is assigned; the other tests have those names too.
unencoded = names.filter(lambda text: "=?" not in text)


@pytest.mark.parametrize("campaign", [CAMPAIGN, TRACKED, WHOLE], ids=["plain", "tracked", "tracked by Jinja2"])
@given(addresses, unencoded, unencoded)
def test_a_mail_says_what_the_plain_way_to_make_it_says(
    campaign: CompiledCampaign, address: str, name: str, city: str
) -> None:
    to = recipient(address, name, city)
    rendered = render(campaign, to)
    ours, plain = parse(rendered.message), reference.mail(campaign, to, rendered.mail_id)
    assert set(ours.keys()) == set(plain.keys())
    for header in set(plain.keys()) - {"Content-Type", "MIME-Version"}:
        assert str(ours[header]).strip() == str(plain[header]).strip()
    assert bodies(ours) == {kind: text.rstrip("\n") for kind, text in bodies(plain).items()}
    assert ours.get_content_type() == "multipart/alternative"
    assert not ours.defects


@given(addresses, names, names)
def test_an_independent_parser_reads_the_same(address: str, name: str, city: str) -> None:
    to = recipient(address, name, city)
    rendered = render(to=to)
    found = fast_mail_parser.parse_email(rendered.message)
    plain = reference.mail(CAMPAIGN, to, rendered.mail_id)
    assert found.subject.strip() == f"{name}, news from {city}".strip()
    assert [box.address for box in found.to] == [to.address]
    assert [(box.display_name, box.address) for box in found.reply_to] == [
        ("Maren Ø", "maren@example.com"),
        (None, "desk@example.com"),
    ]
    read = {"text/plain": found.text_plain, "text/html": found.text_html}
    for kind, text in bodies(plain).items():
        assert [part.replace("\r\n", "\n").rstrip("\n") for part in read[kind]] == [text]
    assert not found.warnings


@given(addresses, names, names)
def test_no_line_is_too_long_and_all_but_addresses_is_ascii(address: str, name: str, city: str) -> None:
    to = recipient(address, name, city)
    rendered = render(to=to)
    lines = lines_of(rendered.message)
    head, body = lines[: lines.index(b"")], lines[lines.index(b"") :]
    assert all(len(line) <= 998 for line in head)
    assert all(len(line) <= 78 for line in body)
    assert all(line.isascii() for line in lines if not line.startswith(b"To: "))
    assert rendered.smtputf8 is to.smtputf8


@pytest.mark.parametrize("subject", ["Grüße, {{ name }}", "{% if name %}Grüße{% else %}Hallo{% endif %}", "{{ name }}"])
def test_a_subject_beyond_ascii_does_not_need_smtputf8(subject: str) -> None:
    rendered = render(msgspec.structs.replace(CAMPAIGN, subject=subject), recipient(name="Zoë"))
    assert rendered.message.isascii()
    assert not rendered.smtputf8


def test_an_address_of_ours_beyond_ascii_needs_smtputf8() -> None:
    assert render(msgspec.structs.replace(CAMPAIGN, reply_to=(Mailbox("zoë@example.com"),))).smtputf8


values = st.one_of(
    st.none(), st.integers(), st.floats(), st.text(max_size=30), st.lists(st.text(max_size=5), max_size=2)
)


@given(values, values)
def test_any_values_make_a_mail_or_a_reason(name: Any, city: Any) -> None:
    with suppress(Unrenderable):
        assert parse(render(to=recipient(name=name, city=city)).message)["To"] == "ada@gmail.com"


@pytest.mark.parametrize("campaign", [CAMPAIGN, TRACKED], ids=["plain", "tracked"])
@given(addresses, names, names)
def test_what_fills_in_the_form_is_the_rendered_mail(
    campaign: CompiledCampaign, address: str, name: str, city: str
) -> None:
    renderer, to = compile_campaign(campaign, SETTINGS), recipient(address, name, city)
    dictionary = encode_dictionary(renderer.dictionary(recipient()))
    mail_id, filling, smtputf8 = renderer.fill(to)
    frame, message = Compressor(dictionary).pack(filling), renderer.message(filling)
    assert renderer.render(to) == Rendered(mail_id, message, smtputf8)
    if len(frame) <= MAX_FILLING_BYTES:
        assert Decompressor(dictionary).decompress(frame) == message
    assert renderer.size(filling) == len(message.decode())


def test_an_ordinary_mail_is_a_few_words_in_the_queue() -> None:
    renderer = compile_campaign(CAMPAIGN, SETTINGS)
    address = "ada.augusta.lovelace@mail.example.com"
    _, filling, _ = renderer.fill(recipient(address, "Ada", "New York"))
    assert filling[1:4] == [address, "Ada", "New York"]
    assert len(Compressor(encode_dictionary(renderer.dictionary(recipient()))).pack(filling)) < 120


def test_tracking_adds_one_word_to_a_mail_in_the_queue_however_many_links_it_has() -> None:
    plain, tracked = (compile_campaign(campaign, SETTINGS).fill(recipient())[1] for campaign in (CAMPAIGN, TRACKED))
    assert len(tracked) == len(plain) + 1  # the MAC; the decision is a digit
    found = bodies(parse(render(TRACKED).message))["text/html"]
    token = Signer(reference.SECRET, "track").token(CAMPAIGN.id, render().mail_id)
    assert re.findall(r"/[co]/([^/']*)", found) == [token] * 3


@pytest.mark.parametrize("campaign", [TRACKED, WHOLE], ids=["tracked", "tracked by Jinja2"])
@given(addresses, unencoded, unencoded)
def test_a_mail_to_who_does_not_want_to_be_counted_is_as_if_nobody_was(
    campaign: CompiledCampaign, address: str, name: str, city: str
) -> None:
    renderer, to = compile_campaign(campaign, SETTINGS), recipient(address, name, city)
    renderer.refusers = {identity(to.address)}
    html = bodies(parse(renderer.render(to).message))["text/html"]
    assert "/c/" not in html
    assert "<img" not in html
    assert html.count("'https://shop.example/") == 1 + bool(city)
    renderer.refusers = {"somebody@else.example"}
    assert renderer.render(to) == compile_campaign(campaign, SETTINGS).render(to)


def test_a_header_of_nothing_but_the_campaign_is_constant() -> None:
    source = msgspec.structs.replace(CAMPAIGN, headers=(("X-Campaign", "{{ campaign_id }}"),))
    renderer = compile_campaign(source, SETTINGS)
    assert parse(renderer.render(recipient()).message)["X-Campaign"] == CAMPAIGN.id
    assert CAMPAIGN.id not in renderer.fill(recipient())[1]


def test_rendering_twice_gives_the_same_bytes() -> None:
    assert render() == render()


def test_what_segments_cannot_do_jinja2_does_to_the_same_effect() -> None:
    looping = msgspec.structs.replace(
        CAMPAIGN,
        html="{% for c in name %}<b>{{ c }}</b>\n{% endfor %}" + "x = é" * 40,
        text="{% for c in name %}{{ loop.index }}{{ c }} {% endfor %}",
        subject="{{ name[:2] }}",
    )
    found = parse(render(looping, recipient(name="A<é")).message)
    assert found["Subject"] == "A<"
    assert bodies(found)["text/plain"] == "1A 2< 3é "
    assert bodies(found)["text/html"].startswith("<b>A</b>\n<b>&lt;</b>\n<b>é</b>\nx = éx = é")


def test_headers_stand_in_the_order_that_people_and_filters_expect() -> None:
    head = render().message.partition(b"\r\n\r\n")[0].decode()
    assert [line.partition(":")[0] for line in head.split("\r\n") if not line.startswith(" ")] == [
        *("From", "Reply-To", "To", "Subject", "Date", "Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post"),
        *("Feedback-ID", "X-City", "X-Kind", "MIME-Version", "Content-Type"),
    ]


def test_a_mail_can_be_unsubscribed_from_by_link_and_by_mail() -> None:
    both = msgspec.structs.replace(CAMPAIGN, unsubscribe=Unsubscribe(mailto="leave@news.example.com"))
    found = parse(render(both).message)
    link, _, mailto = str(found["List-Unsubscribe"]).partition(", ")
    assert link.startswith("<https://news.example.com/u/autumn-letter.")
    assert mailto.startswith("<mailto:leave@news.example.com?subject=autumn-letter.")
    assert found["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def test_one_click_is_offered_over_https_only() -> None:
    local = msgspec.structs.replace(CAMPAIGN, public_url="http://localhost:8080")
    assert parse(render(local).message)["List-Unsubscribe-Post"] is None


def test_a_campaign_without_html_is_a_plain_text_mail() -> None:
    found = parse(render(msgspec.structs.replace(CAMPAIGN, html="", text="Just {{ name }}")).message)
    assert (found.get_content_type(), found.get_content()) == ("text/plain", "Just Ada")


@pytest.mark.parametrize("value", ["Eve\r\nBcc: all@example.com", "Eve\nBcc: x", "Eve\r", "Eve\0"])
def test_a_value_with_a_line_break_in_a_header_is_refused_for_that_recipient(value: str) -> None:
    renderer = compile_campaign(CAMPAIGN, SETTINGS)
    with pytest.raises(Unrenderable, match=r"^Subject: the value has a"):
        renderer.render(recipient(name=value))
    assert renderer.render(recipient()).message


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{{ nmae }}", "UndefinedError: 'nmae' is undefined"),
        ("{{ name / 0 }}", "TypeError"),
        ("{{ name.__class__.__mro__ }}", "SecurityError"),
        ("{{ city.street.number }}", "UndefinedError"),
    ],
)
def test_a_mail_that_cannot_be_rendered_says_why(source: str, reason: str) -> None:
    with pytest.raises(Unrenderable, match=reason):
        render(msgspec.structs.replace(CAMPAIGN, text=source))


def test_a_value_that_no_encoding_can_carry_is_a_reason_too() -> None:
    with pytest.raises(Unrenderable, match="UnicodeEncodeError"):
        render(to=recipient(city="\ud800"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"html": "<p>\n{{ name"}, "the html part, line 2"),
        ({"subject": "{% if %}"}, "Subject, line 1"),
        ({"subject": "two\nlines"}, "line feed"),
        ({"from_": Mailbox("a@example.com", "Eve\r\nBcc: x")}, "carriage return"),
        ({"headers": (("Subject", "again"),)}, "written by Jetpost itself"),
        ({"headers": (("X Kind", "letter"),)}, "no header name"),
    ],
)
def test_a_campaign_that_nobody_could_get_is_refused_when_it_is_compiled(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadTemplate, match=reason):
        compile_campaign(msgspec.structs.replace(CAMPAIGN, **changes), SETTINGS)


def test_links_are_not_signed_without_a_secret() -> None:
    with pytest.raises(ValueError, match="link_secret"):
        compile_campaign(CAMPAIGN, ProducerSettings())


def test_fields_of_the_audience_cannot_pass_for_our_own_values() -> None:
    fields = msgspec.structs.replace(
        CAMPAIGN, fields=("email", "unsubscribe_url"), subject="{{ email }}", text="", headers=()
    )
    fields = msgspec.structs.replace(fields, html="{{ unsubscribe_url }}")
    found = parse(render(fields, recipient(name="eve@example.com", city="https://evil.example")).message)
    assert found["Subject"] == "ada@gmail.com"
    assert "evil" not in bodies(found)["text/html"]


def test_a_field_of_the_audience_may_have_any_name_that_templates_do_not_find_supplied() -> None:
    fields = msgspec.structs.replace(
        CAMPAIGN, fields=("name", "unsubscribe_mac"), text="{{ unsubscribe_mac }}", headers=()
    )
    fields = msgspec.structs.replace(fields, html="", subject="{{ name }}")
    assert (
        bodies(parse(render(fields, recipient(city="00:00:5e:00:53:af")).message))["text/plain"] == "00:00:5e:00:53:af"
    )


def test_a_renderer_is_what_a_campaign_compiles_to() -> None:
    assert isinstance(compile_campaign(CAMPAIGN, SETTINGS), Renderer)
