from __future__ import annotations

import email.policy
from email.parser import Parser

import fast_mail_parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.campaign.compiled import Mailbox
from producer.rendering import headers
from producer.rendering.errors import Unrenderable

printable = st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])
texts = st.one_of(
    st.text(printable, max_size=200),
    st.text(
        st.sampled_from('word long =?utf-8?q?x?= "quoted" é漢🎉 \u05d0\u05d1 , ; <a@b.c> (note) \\ '), max_size=300
    ),
    st.lists(st.text(st.sampled_from("abcdefghij!?,;\"'="), min_size=1, max_size=40), max_size=40).map(" ".join),
    st.integers(0, 1_200).map(lambda length: "x" * length),
)


def parsed(block: str, name: str) -> str:
    return str(Parser(policy=email.policy.default).parsestr(f"{block}\r\n\r\n")[name])


def assert_well_formed(block: str) -> None:
    assert block.endswith("\r\n")
    for line in block.removesuffix("\r\n").split("\r\n"):
        assert len(line) <= (76 if "=?utf-8?b?" in line else 998)
        assert line.strip(), "a line of white space alone would end the headers for some readers"
        assert all(" " <= character <= "~" for character in line)


@given(texts)
def test_any_text_survives_in_a_header(text: str) -> None:
    block = headers.unstructured("Subject", text)
    assert_well_formed(block)
    assert parsed(block, "Subject").strip() == text.strip()
    assert fast_mail_parser.parse_email(f"{block}\r\nbody").subject.strip() == text.strip()


@given(
    st.lists(st.text(st.sampled_from("abcdefghij!?,;\"'"), min_size=1, max_size=60), min_size=1, max_size=60).map(
        " ".join
    )
)
def test_ascii_text_is_folded_and_not_encoded(text: str) -> None:
    block = headers.unstructured("Subject", text)
    assert all(len(line) <= 78 for line in block.split("\r\n"))
    assert block.replace("\r\n", "") == f"Subject: {text}"


@given(
    st.lists(
        st.builds(Mailbox, st.sampled_from(["a@example.com", "b.c+d@xn--bcher-kva.example"]), texts),
        min_size=1,
        max_size=3,
    )
)
def test_any_display_name_survives_beside_its_address(boxes: list[Mailbox]) -> None:
    block = headers.mailboxes("Reply-To", boxes)
    assert_well_formed(block)
    found = Parser(policy=email.policy.default).parsestr(f"{block}\r\n\r\n")["Reply-To"].addresses
    assert [address.addr_spec for address in found] == [box.address for box in boxes]
    # Python 3.11 keeps the space between two encoded words of a name (gh-92081): names are compared without spaces.
    assert [squeezed(address.display_name) for address in found] == [squeezed(box.name) for box in boxes]
    others = fast_mail_parser.parse_email(f"{block}\r\nbody").reply_to
    assert [(other.address, (other.display_name or "").strip()) for other in others] == [
        (box.address, box.name.strip()) for box in boxes
    ]


def squeezed(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Ada Lovelace", "Ada Lovelace"),
        ("Ada, Countess of Lovelace", '"Ada, Countess of Lovelace"'),
        ('Ada "the" \\ Countess', r'"Ada \"the\" \\ Countess"'),
        ("Zoë", "=?utf-8?b?Wm/Dqw==?="),
        ("=?utf-8?q?Eve?=", "=?utf-8?b?PT91dGYtOD9xP0V2ZT89?="),
    ],
)
def test_names_are_quoted_only_where_they_must_be(name: str, shown: str) -> None:
    assert headers.mailboxes("From", [Mailbox("ada@example.com", name)]) == f"From: {shown} <ada@example.com>\r\n"


@pytest.mark.parametrize("character", ["\r", "\n", "\0", "\r\n"])
@pytest.mark.parametrize("place", ["{}Bcc: all@example.com", "Hello{}Bcc: all@example.com", "Hello{}"])
def test_a_value_that_would_begin_another_header_is_refused(character: str, place: str) -> None:
    value = place.format(character)
    with pytest.raises(Unrenderable, match="which no header may have"):
        headers.unstructured("Subject", value)
    with pytest.raises(Unrenderable):
        headers.mailboxes("From", [Mailbox("ada@example.com", value)])
    with pytest.raises(Unrenderable):
        headers.mailboxes("From", [Mailbox(value)])


def test_encoded_words_hold_whole_characters() -> None:
    block = headers.unstructured("Subject", "🎉" * 60)
    assert [line.count("=?utf-8?b?") for line in block.strip().split("\r\n")] == [1] * len(block.strip().split("\r\n"))
    assert parsed(block, "Subject") == "🎉" * 60


@pytest.mark.parametrize(
    ("name", "good"), [("X-Kind", True), ("X Kind", False), ("X:Kind", False), ("Ä", False), ("", False)]
)
def test_a_field_name_is_printable_ascii_without_colon(name: str, good: bool) -> None:
    assert headers.is_field_name(name) is good
