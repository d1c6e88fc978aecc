"""Tracking in a campaign's HTML, before there is any recipient: links are numbered, a pixel is put at the end of the body.

A link that is the same in every mail goes into the campaign's table (`events.links`), and the mail leads to its number. A link
with something of the recipient in it is left alone and told: to count it, what it leads to would have to travel in it. So are
`mailto:`, `tel:`, `#…` and the unsubscribe link. The text part is left alone, too: people read its links.
"""

from __future__ import annotations

import html as markup
import re
from typing import Final, NamedTuple
from urllib.parse import quote, urlsplit, urlunsplit

import idna
import jinja2
from jinja2 import meta

from events.links import Links
from events.schemas import Tracking
from producer.rendering.environment import environment
from producer.rendering.protection import Protected, protect, unprotect

COUNTED: Final = "jetpost_counted"
CLICK_URL: Final = "jetpost_click_url"
OPEN_URL: Final = "jetpost_open_url"
"""Variables that the renderer supplies to templates which `track` has changed: whether this reader is counted (some do not want
it, and their mails are as if nobody was), and what links begin with."""

_LINK_TAG: Final = re.compile(r"""<(?:a|area|v:\w+)\b(?:[^>"']|"[^"]*"|'[^']*')*>""", re.IGNORECASE)
"""Also in Outlook's conditional comments: their buttons are VML."""
_HREF: Final = re.compile(r"""(?<=[\s"'])href\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_UNPRINTABLE: Final = re.compile(r"[\x00-\x20\x7f]")
_KEPT: Final = "!#$%&'()*+,/:;=?@[]~"
"""What `quote` leaves alone in an address: reserved characters, and escapes that are there already (RFC 3986 §2)."""


class Tracked(NamedTuple):
    html: str
    links: Links
    left_alone: tuple[str, ...]
    """Links to the web that are not counted, as the template has them."""


def track(html: str, tracking: Tracking, constants: dict[str, str]) -> Tracked:
    """The template with what `tracking` asks for. `constants`: variables that are the same in every mail.

    Raises `BadTemplate` as `protect` does.
    """
    if not tracking:
        return Tracked(html, (), ())
    protected = protect(html)
    source, links, left_alone = protected.html, dict[str, int](), dict[str, None]()

    def numbered(tag: re.Match[str]) -> str:
        return _HREF.sub(lambda href: _numbered(href, protected, constants, links, left_alone), tag.group(), count=1)

    if tracking.clicks:
        source = _LINK_TAG.sub(numbered, source)
    if tracking.opens:
        source = _with_pixel(source)
    return Tracked(unprotect(source, protected), tuple(links), tuple(left_alone))


def _numbered(
    href: re.Match[str],
    protected: Protected,
    constants: dict[str, str],
    links: dict[str, int],
    left_alone: dict[str, None],
) -> str:
    source = protected.fill(href[1] or href[2] or href[3] or "")
    if not is_web(source):
        return href.group()
    if used := _variables(source) - constants.keys():
        if "unsubscribe_url" not in used:
            left_alone[source] = None
        return href.group()
    url = redirectable(markup.unescape(environment("html").from_string(source).render(constants)))
    if url is None:
        left_alone[source] = None
        return href.group()
    number = links.setdefault(url, len(links) + 1)
    quote_mark = "'" if href[2] is not None else '"'
    as_it_was = href[1] or href[2] or href[3]
    counted = f"{{% if {COUNTED} %}}{{{{ {CLICK_URL} }}}}/{number}{{% else %}}{as_it_was}{{% endif %}}"
    return f"href={quote_mark}{counted}{quote_mark}"


def is_web(source: str) -> bool:
    """Whether a link leads to the web, as far as its template tells."""
    start = source.lstrip()
    return start[:8].lower().startswith(("http://", "https://")) or start.startswith("{{")


def _variables(source: str) -> set[str]:
    try:
        return meta.find_undeclared_variables(environment("html").parse(source))
    except jinja2.TemplateSyntaxError:
        return {source}  # a block that begins here and ends elsewhere


def redirectable(url: str) -> str | None:
    """A link as it can stand in a Location header (RFC 9110 §10.2.2); None where it is no address in the web."""
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not host or parts.username or _UNPRINTABLE.search(parts.netloc):
        return None
    try:
        name = host if host.isascii() else idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError:
        return None
    place = f"[{name}]" if ":" in name else name
    rest = (quote(part, safe=_KEPT) for part in (parts.path, parts.query, parts.fragment))
    return urlunsplit((parts.scheme, place if port is None else f"{place}:{port}", *rest))


def _with_pixel(html: str) -> str:
    """Last in the body: what comes after it would be missing where a mail is cut, and before it nothing is."""
    pixel = f'<img src="{{{{ {OPEN_URL} }}}}" width="1" height="1" alt="" style="display:block;border:0">'
    pixel = f"{{% if {COUNTED} %}}{pixel}{{% endif %}}"
    end = html.lower().rfind("</body>")
    return f"{html}{pixel}" if end < 0 else f"{html[:end]}{pixel}{html[end:]}"
