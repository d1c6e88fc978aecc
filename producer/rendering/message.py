"""The MIME skeleton: a campaign as constant text and functions, which `segments.join` makes into one mail after another.

Everything that is the same for all recipients is built and encoded here, once: header lines, boundaries, and between the
values of a body its text. A message is ASCII with CRLF line ends, but for addresses that are not (RFC 6532). Which encodings,
and why: docs/decisions/0006-mime.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final

import jinja2

from producer.campaign.compiled import CompiledCampaign
from producer.rendering import headers, quoted_printable, segments
from producer.rendering.environment import Kind, environment
from producer.rendering.errors import BadTemplate, Unrenderable
from producer.rendering.segments import Piece, Values

OWN_HEADERS: Final = frozenset(
    {
        *("bcc", "cc", "content-transfer-encoding", "content-type", "date", "feedback-id", "from", "list-unsubscribe"),
        *("list-unsubscribe-post", "message-id", "mime-version", "reply-to", "return-path", "sender", "subject", "to"),
    }
)
"""Lower-case names of headers that campaigns cannot set as further headers: written here, or not for a mail to one recipient."""

TOKEN: Final = "unsubscribe_token"  # noqa: S105 - the name of a value
"""A value beside `compiled.SUPPLIED`, for the address that takes unsubscriptions by mail."""


def skeleton(campaign: CompiledCampaign) -> list[Piece]:
    """Raises `BadTemplate`."""
    return [*_header_pieces(campaign), *_content(campaign)]


def _header_pieces(campaign: CompiledCampaign) -> Iterator[Piece]:
    date = format_datetime(datetime.fromtimestamp(campaign.created_at, UTC))
    try:
        yield headers.mailboxes("From", [campaign.from_])
        if campaign.reply_to:
            yield headers.mailboxes("Reply-To", campaign.reply_to)
        yield _to
        yield from _text_header("Subject", campaign.subject)
        yield f"Date: {date}\r\n"
        yield _message_id(campaign)
        yield from _list_unsubscribe(campaign)
        if campaign.feedback_id:
            yield headers.unstructured("Feedback-ID", ":".join(campaign.feedback_id))
        for name, source in campaign.headers:
            _require_free_name(name)
            yield from _text_header(name, source)
    except Unrenderable as error:
        raise BadTemplate(str(error)) from error
    yield "MIME-Version: 1.0\r\n"


def _to(values: Values) -> str:
    address: str = values["email"]
    headers.refuse_line_breaks("To", address)
    return f"To: {address}\r\n"


def _message_id(campaign: CompiledCampaign) -> Piece:
    right = f".{campaign.id}@{campaign.message_id_domain}>\r\n"
    return lambda values: f"Message-ID: <{values['mail_id']}{right}"


def _list_unsubscribe(campaign: CompiledCampaign) -> Iterator[Piece]:
    """RFC 2369; with RFC 8058's one-click POST where the link is HTTPS, as it demands."""
    link, mailto = campaign.unsubscribe.link, campaign.unsubscribe.mailto
    if link and mailto:
        yield (
            lambda values: (
                f"List-Unsubscribe: <{values['unsubscribe_url']}>,\r\n <mailto:{mailto}?subject={values[TOKEN]}>\r\n"
            )
        )
    elif link:
        yield lambda values: f"List-Unsubscribe: <{values['unsubscribe_url']}>\r\n"
    elif mailto:
        yield lambda values: f"List-Unsubscribe: <mailto:{mailto}?subject={values[TOKEN]}>\r\n"
    if link and campaign.public_url.startswith("https://"):
        yield "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"


def _require_free_name(name: str) -> None:
    if not headers.is_field_name(name):
        raise BadTemplate(f"{name!r} is no header name: letters, digits and hyphens, at most 76 of them")
    if name.lower() in OWN_HEADERS:
        raise BadTemplate(f"The header {name} is written by Jetpost itself; remove it from the further headers")


def _text_header(name: str, source: str) -> list[Piece]:
    render = text_renderer(source, name)
    if isinstance(render, str):
        return [headers.unstructured(name, render)]
    return [lambda values: headers.unstructured(name, render(values))]


def text_renderer(source: str, where: str) -> str | Callable[[Values], str]:
    """A template for plain text as a function, or as the text itself where that is constant. Raises `BadTemplate`."""
    simple = _parse("text", source, where)
    if simple is None:
        return environment("text").from_string(source).render
    if all(isinstance(segment, str) for segment in simple):
        return "".join(str(segment) for segment in simple)
    return segments.join(segments.pieces(simple, str))


def _content(campaign: CompiledCampaign) -> Iterator[Piece]:
    """Content-Type and bodies: the text alone where there is no HTML, else multipart/alternative (RFC 2046 §5.1.4)."""
    if not campaign.html:
        yield from _part("text", campaign.text)
        return
    # Quoted-printable never contains `=_`, so this boundary cannot occur in a body (RFC 2045 §6.7).
    boundary = f"=_{campaign.id}"
    yield f'Content-Type: multipart/alternative; boundary="{boundary}"\r\n\r\n--{boundary}\r\n'
    yield from _part("text", campaign.text)
    yield f"\r\n--{boundary}\r\n"
    yield from _part("html", campaign.html)
    yield f"\r\n--{boundary}--\r\n"


def _part(kind: Kind, source: str) -> Iterator[Piece]:
    subtype = "html" if kind == "html" else "plain"
    yield f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    simple = _parse(kind, source, f"the {kind} part")
    if simple is None:
        template = environment(kind).from_string(source)
        yield lambda values: quoted_printable.encode_body(template.render(values))
        return
    write = quoted_printable.write_html if kind == "html" else quoted_printable.write_text
    yield from segments.pieces(quoted_printable.lay_out(simple), write)


def _parse(kind: Kind, source: str, where: str) -> segments.Segments | None:
    try:
        return segments.parse(environment(kind), source)
    except jinja2.TemplateSyntaxError as error:
        raise BadTemplate(f"{where}, line {error.lineno}: {error.message}") from error
