"""The MIME skeleton: a campaign as constant text and values, which `blanks` makes into a form.

Everything that is the same for all recipients is built and encoded here, once: header lines, boundaries, and between the
values of a body its text. A message is ASCII with CRLF line ends, but for addresses that are not (RFC 6532). Which encodings,
and why: docs/decisions/0006-mime.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from operator import itemgetter
from typing import Final

import jinja2
from markupsafe import escape

from events import links
from events.forms import Filler
from producer.campaign.compiled import CompiledCampaign
from producer.rendering import esp_headers, headers, quoted_printable, segments
from producer.rendering.blanks import Blanks, Options, Piece, Written, field, pieces
from producer.rendering.environment import Kind, environment
from producer.rendering.errors import BadTemplate, Unrenderable
from producer.rendering.segments import Row, Segments, Value
from producer.rendering.tracking import CLICK_URL, OPEN_URL

OWN_HEADERS: Final = frozenset(
    {
        *("bcc", "cc", "content-transfer-encoding", "content-type", "date", "feedback-id", "from", "list-unsubscribe"),
        *("list-unsubscribe-post", "message-id", "mime-version", "reply-to", "return-path", "sender", "subject", "to"),
    }
)
"""Lower-case names of headers that campaigns cannot set as further headers: written here, or not for a mail to one recipient."""

MAC: Final = "unsubscribe mac"
TRACK_MAC: Final = "track mac"
"""Values beside `compiled.SUPPLIED`: the last parts of the tokens for unsubscribing and for what is tracked (`events.tokens`). No
template can name them."""


def skeleton(campaign: CompiledCampaign) -> list[Piece]:
    """Raises `BadTemplate`."""
    return [*_header_pieces(campaign), *_content(campaign)]


def _header_pieces(campaign: CompiledCampaign) -> Iterator[Piece]:
    date = format_datetime(datetime.fromtimestamp(campaign.created_at, UTC))
    try:
        yield headers.mailboxes("From", [campaign.from_])
        if campaign.reply_to:
            yield headers.mailboxes("Reply-To", campaign.reply_to)
        yield from ("To: ", field("email", _address), "\r\n")
        yield from _text_header("Subject", campaign.subject, campaign)
        yield f"Date: {date}\r\n"
        yield from _message_id(campaign)
        yield from _list_unsubscribe(campaign)
        for before, after in esp_headers.lines(
            campaign.esps, campaign.id, {name.lower() for name, _ in campaign.headers}
        ):
            yield from (before, _MAIL_ID, after)
        if campaign.feedback_id:
            yield headers.unstructured("Feedback-ID", ":".join(campaign.feedback_id))
        for name, source in campaign.headers:
            _require_free_name(name)
            yield from _text_header(name, source, campaign)
    except Unrenderable as error:
        raise BadTemplate(str(error)) from error
    yield "MIME-Version: 1.0\r\n"


def _address(value: str) -> str:
    headers.refuse_line_breaks("To", value)
    return value


def _message_id(campaign: CompiledCampaign) -> Iterator[Piece]:
    yield "Message-ID: <"
    yield _MAIL_ID
    yield f".{campaign.id}@{campaign.message_id_domain}>\r\n"


_MAIL_ID: Final = field("mail_id")
_MAC: Final = field(MAC)


def _list_unsubscribe(campaign: CompiledCampaign) -> Iterator[Piece]:
    """RFC 2369; with RFC 8058's one-click POST where the link is HTTPS, as it demands."""
    link, mailto = campaign.unsubscribe.link, campaign.unsubscribe.mailto
    if not link and not mailto:
        return
    yield "List-Unsubscribe: "
    if link:
        yield from (f"<{campaign.public_url}/u/{campaign.id}.", _MAIL_ID, ".", _MAC, ">")
    if link and mailto:
        yield ",\r\n "
    if mailto:
        yield from (f"<mailto:{mailto}?subject={campaign.id}.", _MAIL_ID, ".", _MAC, ">")
    yield "\r\n"
    if link and campaign.public_url.startswith("https://"):
        yield "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"


def _require_free_name(name: str) -> None:
    if not headers.is_field_name(name):
        raise BadTemplate(f"{name!r} is no header name: letters, digits and hyphens, at most 76 of them")
    if name.lower() in OWN_HEADERS:
        raise BadTemplate(f"The header {name} is written by Jetpost itself; remove it from the further headers")


def _text_header(name: str, source: str, campaign: CompiledCampaign) -> list[Piece]:
    simple = _parse("text", source, name)
    if simple is None:
        render = environment("text").from_string(source).render
        return [Written(render, lambda row: headers.unstructured(name, render(row)), str)]
    simple = segments.substituted(simple, _known("text", campaign))
    if all(isinstance(segment, str) for segment in simple):
        return [headers.unstructured(name, "".join(str(segment) for segment in simple))]
    return [_folded_or_not(name, [f"{name}: ", *pieces(simple, str), "\r\n"])]


def _folded_or_not(name: str, unfolded: list[Piece]) -> Options:
    """Where nothing has to be folded or encoded the line is what it reads; else it is made for each mail."""
    plain = Blanks(unfolded)
    line_of, start, made = Filler(plain.form).fill, len(name) + 2, f"{name}:"

    def is_as_it_reads(row: Row) -> bool:
        line = line_of(plain.fill(row))
        row[made] = headers.unstructured(name, line[start:-2])
        return row[made] == line  # type: ignore[no-any-return]

    return Options(made, is_as_it_reads, unfolded, [field(made)])


def _content(campaign: CompiledCampaign) -> Iterator[Piece]:
    """Content-Type and bodies: the text alone where there is no HTML, else multipart/alternative (RFC 2046 §5.1.4)."""
    if not campaign.html:
        yield from _part("text", campaign.text, campaign)
        return
    # Quoted-printable never contains `=_`, so this boundary cannot occur in a body (RFC 2045 §6.7).
    boundary = f"=_{campaign.id}"
    yield f'Content-Type: multipart/alternative; boundary="{boundary}"\r\n\r\n--{boundary}\r\n'
    yield from _part("text", campaign.text, campaign)
    yield f"\r\n--{boundary}\r\n"
    yield from _part("html", campaign.html, campaign)
    yield f"\r\n--{boundary}--\r\n"


def _part(kind: Kind, source: str, campaign: CompiledCampaign) -> Iterator[Piece]:
    subtype = "html" if kind == "html" else "plain"
    yield f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    simple = _parse(kind, source, f"the {kind} part")
    if simple is None:
        template = environment(kind).from_string(source)
        render = _tracked(template.render, campaign) if campaign.tracking else template.render
        yield Written(template, render, quoted_printable.encode_body)
        return
    laid_out = quoted_printable.lay_out(segments.substituted(simple, _known(kind, campaign)))
    yield from pieces(laid_out, quoted_printable.write_html if kind == "html" else quoted_printable.write_text)


def _known(kind: Kind, campaign: CompiledCampaign) -> dict[str, Segments]:
    """What is the same for all recipients, or consists of that and values."""

    def constant(text: str) -> str:
        return str(escape(text)) if kind == "html" else text

    mail_id, mac, track_mac = (Value(itemgetter(name), name) for name in ("mail_id", MAC, TRACK_MAC))
    known: dict[str, Segments] = {
        "campaign_id": (campaign.id,),
        "campaign_name": (constant(campaign.name),),
        "unsubscribe_url": (constant(f"{campaign.public_url}/u/{campaign.id}."), mail_id, ".", mac),
    }
    if campaign.tracking:
        known |= {name: (constant(begin), mail_id, ".", track_mac) for name, begin in _tracked_urls(campaign).items()}
    return known


def _tracked_urls(campaign: CompiledCampaign) -> dict[str, str]:
    """Variables of tracked templates, and what their values begin with."""
    paths = {CLICK_URL: links.CLICK_PATH, OPEN_URL: links.OPEN_PATH}
    return {name: f"{campaign.public_url}{path}{campaign.id}." for name, path in paths.items()}


def _tracked(render: Callable[..., str], campaign: CompiledCampaign) -> Callable[[Row], str]:
    """For a template that Jinja2 renders as a whole."""
    begins = _tracked_urls(campaign)

    def rendered(row: Row) -> str:
        token = f"{row['mail_id']}.{row[TRACK_MAC]}"
        return render(row, **{name: begin + token for name, begin in begins.items()})

    return rendered


def _parse(kind: Kind, source: str, where: str) -> segments.Segments | None:
    try:
        return segments.parse(environment(kind), source)
    except jinja2.TemplateSyntaxError as error:
        raise BadTemplate(f"{where}, line {error.lineno}: {error.message}") from error
