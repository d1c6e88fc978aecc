"""A text part out of HTML: what a reader sees, in the order of the source, one line for each line that would be seen.

Links become `text (url)`, list items get a dash or a number, cells of one table row share a line, images give their
`alt`; what is hidden, such as a preheader, is left out. Lines are not wrapped: mail clients do that, and know the width.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import takewhile
from typing import Final

from selectolax.lexbor import LexborHTMLParser, LexborNode

from producer.rendering.protection import Protected

_BLOCKS: Final = frozenset(
    {
        *("address", "article", "aside", "blockquote", "body", "center", "dd", "div", "dl", "dt", "fieldset", "figure"),
        *("footer", "form", "header", "li", "main", "nav", "section", "tr"),
    }
)
_PARAGRAPHS: Final = frozenset({"h1", "h2", "h3", "h4", "h5", "h6", "hr", "ol", "p", "pre", "table", "ul"})
_CELLS: Final = frozenset({"td", "th"})
_NOT_SHOWN: Final = frozenset({"head", "noscript", "script", "style", "template", "title"})
_HIDDEN: Final = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all|max-height\s*:\s*0|font-size\s*:\s*0(?![.\d])",
    re.IGNORECASE,
)
_JINJA_OPENER: Final = re.compile(r"\{[{%#]")
_CELL_GAP: Final = "  "


def from_html(protected: Protected) -> str:
    """A Jinja2 template for text. It may be unbalanced where a block begins inside hidden content and ends outside."""
    writer = _Writer(protected)
    document = LexborHTMLParser(protected.html).root
    if document is not None:
        _walk(document.parent or document, writer)
    return writer.text()


class _Writer:
    """Collects text, with white space and line breaks as a reader would see them."""

    def __init__(self, protected: Protected) -> None:
        self.protected = protected
        self._parts: list[str] = []
        self._breaks = 0
        self._gap = ""
        self._at_line_start = True

    def text(self) -> str:
        return self.protected.fill("".join(self._parts)) + "\n"

    def words(self, text: str) -> None:
        """Text in which any run of white space is one space, or nothing at the start of a line."""
        if text[:1].isspace():
            self.space()
        words = " ".join(text.split())
        if words:
            # What looks like Jinja2 here was written as entities, to be seen and not to be read by Jinja2.
            self._put(_JINJA_OPENER.sub(lambda opener: f"{{{{ '{opener.group()}' }}}}", words))
            if text[-1].isspace():
                self.space()

    def space(self) -> None:
        self._gap = self._gap or " "

    def cell_gap(self) -> None:
        self._gap = _CELL_GAP

    def break_lines(self, count: int) -> None:
        """At least so many line ends before what follows; none at the very start."""
        self._breaks = max(self._breaks, count)

    def line_end(self) -> None:
        """One more line end, up to an empty line."""
        self._breaks = min(self._breaks + 1, 2)

    def token(self, placeholder: str) -> None:
        """A block of Jinja2: due line ends go before it, so that what it leaves out takes its own line ends along."""
        self._flush()
        self._parts.append(placeholder)

    def _put(self, text: str) -> None:
        self._flush()
        self._parts.append(text)
        self._at_line_start = False

    def _flush(self) -> None:
        if not self._at_line_start:
            if self._breaks:
                self._parts.append("\n" * self._breaks)
                self._at_line_start = True
            else:
                self._parts.append(self._gap)
        self._breaks, self._gap = 0, ""


def _walk(node: LexborNode, writer: _Writer) -> None:
    for child in _children(node):
        if child.is_text_node:
            writer.words(child.text_content or "")
        elif child.is_comment_node:
            _comment(child, writer)
        elif child.tag in _NOT_SHOWN:
            _tokens_alone(child, writer)
        elif not _is_hidden(child):
            _element(child, writer)


def _children(node: LexborNode) -> Iterator[LexborNode]:
    child = node.first_child
    while child is not None:
        yield child
        child = child.next


def _comment(node: LexborNode, writer: _Writer) -> None:
    """Blocks of Jinja2 travel as comments; others are nothing to read."""
    name = (node.comment_content or "").strip()
    if name in writer.protected.tokens and writer.protected.tokens[name].line:
        writer.token(name)


def _tokens_alone(node: LexborNode, writer: _Writer) -> None:
    """Of a part that is not shown, what it may set or define for the parts that are."""
    for child in _children(node):
        if child.is_comment_node:
            _comment(child, writer)


def _is_hidden(node: LexborNode) -> bool:
    return "hidden" in node.attributes or _HIDDEN.search(node.attributes.get("style") or "") is not None


def _element(node: LexborNode, writer: _Writer) -> None:
    match node.tag:
        case "br":
            writer.line_end()
        case "hr":
            writer.break_lines(2)
            writer.words("----")
            writer.break_lines(2)
        case "img":
            writer.words(node.attributes.get("alt") or "")
        case "a":
            _link(node, writer)
        case "li":
            writer.break_lines(1)
            writer.words(_bullet(node, writer) + " ")
            _walk(node, writer)
            writer.break_lines(1)
        case tag if tag in _CELLS:
            _cell(node, writer)
        case tag:
            breaks = 2 if tag in _PARAGRAPHS else 1 if tag in _BLOCKS else 0
            writer.break_lines(breaks)
            _walk(node, writer)
            writer.break_lines(breaks)


def _link(node: LexborNode, writer: _Writer) -> None:
    _walk(node, writer)
    url = (node.attributes.get("href") or "").strip()
    seen = " ".join(node.text(deep=True).split())
    if url and not url.startswith("#") and seen not in {url, url.partition(":")[2]}:
        writer.words(f" ({url})" if seen or node.css_first("img[alt]") else url)


def _bullet(item: LexborNode, writer: _Writer) -> str:
    """Numbers in an ordered list, unless Jinja2 decides how many items there are."""
    ordered = item.parent
    if ordered is None or ordered.tag != "ol" or writer.protected.in_order(ordered.html or ""):
        return "-"
    before = takewhile(lambda sibling: sibling.mem_id != item.mem_id, _children(ordered))
    return f"{1 + sum(sibling.tag == 'li' for sibling in before)}."


def _cell(node: LexborNode, writer: _Writer) -> None:
    """Cells of text share the line of their row; cells that hold blocks stand on lines of their own."""
    if node.css_first(",".join(sorted(_BLOCKS | _PARAGRAPHS))) is None:
        writer.cell_gap()
        _walk(node, writer)
        return
    writer.break_lines(1)
    _walk(node, writer)
    writer.break_lines(1)
