"""Carrying Jinja2 through tools that know only HTML: what Jinja2 will read is replaced by placeholders, and put back afterwards.

An HTML parser moves text that stands between `<table>` and `<tr>`, so a block (`{% for %}`) becomes a comment, which may
stand anywhere; an expression (`{{ … }}`) becomes a word, which is an attribute value, a CSS value or text wherever it stands.
Where neither can be safe (a block around attributes or in a style sheet), the template is refused, with the line and
what to write instead. `restore` checks that nothing got lost or changed its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import jinja2

from producer.rendering.environment import environment
from producer.rendering.errors import BadTemplate

_MARKUP: Final = re.compile(
    r"""<!--.*?-->                                        # comments, also Outlook's conditional ones
      | <!\[[^>]*\]>                                      # conditional comments that other clients see the inside of
      | <(?P<raw>style|title|script|textarea)\b.*?</(?P=raw)\s*>
      | <[a-zA-Z/!?](?:[^>"']|"[^"]*"|'[^']*')*>          # tags""",
    re.DOTALL | re.IGNORECASE | re.VERBOSE,
)
_BETWEEN_CELLS: Final = re.compile(r"<(table|/?(tbody|thead|tfoot|tr)|/(td|th|caption|colgroup))\b", re.IGNORECASE)
"""Tags after which HTML allows no text: a parser would move it out of the table."""

_QUOTED: Final = re.compile(r""""[^"]*"|'[^']*'""")


class Token(NamedTuple):
    source: str
    """What Jinja2 is to read."""
    line: int
    is_block: bool


class Protected(NamedTuple):
    html: str
    tokens: dict[str, Token]
    """By placeholder."""
    in_text: tuple[str, ...]
    """Placeholders that stand between tags, in their order."""
    once: frozenset[str]
    """Placeholders that must come back exactly once: all but those in style sheets."""

    def in_order(self, text: str) -> list[str]:
        """The placeholders that occur in a text."""
        return self._pattern().findall(text)

    def fill(self, text: str) -> str:
        """The text with its placeholders replaced by what they stand for."""
        return self._pattern().sub(lambda match: self.tokens[match.group()].source, text)

    def _pattern(self) -> re.Pattern[str]:
        return re.compile("|".join(map(re.escape, self.tokens)) or r"(?!)")


def protect(source: str) -> Protected:
    """Raises `BadTemplate` for wrong syntax and for blocks where no placeholder can stand."""
    prefix = _unused_prefix(source)
    tokens: dict[str, Token] = {}
    text = "".join(_replaced(source, prefix, tokens))
    in_text: list[str] = []
    styled: set[str] = set()
    blocks = re.compile("|".join(name for name, token in tokens.items() if token.is_block) or r"(?!)")
    found = Protected(text, tokens, (), frozenset())

    def in_comments(between: str) -> str:
        in_text.extend(found.in_order(between))
        return blocks.sub(lambda match: f"<!--{match.group()}-->", between)

    result: list[str] = []
    position, between_cells = 0, False
    for markup in _MARKUP.finditer(text):
        if between_cells:
            _refuse_values(found, text[position : markup.start()])
        if not markup.group().startswith("<!"):
            between_cells = _BETWEEN_CELLS.match(markup.group()) is not None
        result += (in_comments(text[position : markup.start()]), _markup(markup, found, prefix))
        if (markup["raw"] or "").lower() == "style":
            styled.update(found.in_order(markup.group()))
        position = markup.end()
    result.append(in_comments(text[position:]))
    return Protected("".join(result), tokens, tuple(in_text), frozenset(tokens) - styled)


def restore(html: str, protected: Protected) -> str:
    """Raises `BadTemplate` where a tool lost, repeated or moved something that Jinja2 was to read."""
    present = protected.in_order(html)
    for name in protected.once:
        if present.count(name) != 1:
            raise _refusal(protected.tokens[name], "does not survive HTML parsing or CSS inlining where it stands")
    in_text = frozenset(protected.in_text)
    for was, now in zip(protected.in_text, (name for name in present if name in in_text), strict=True):
        if was != now:
            raise _refusal(protected.tokens[was], "stands where HTML allows no text")
    return unprotect(html, protected)


def unprotect(html: str, protected: Protected) -> str:
    """Put back what is there, unchecked."""
    for name in protected.tokens:
        html = html.replace(f"<!--{name}-->", name)
    return protected.fill(html)


def _refuse_values(protected: Protected, between: str) -> None:
    for name in protected.in_order(between):
        if not protected.tokens[name].is_block:
            raise _refusal(protected.tokens[name], "stands between the cells of a table, where HTML allows no text")


def _unused_prefix(source: str) -> str:
    number = 0
    while f"jet{number}q" in source.lower():
        number += 1
    return f"jet{number}q"


def _replaced(source: str, prefix: str, tokens: dict[str, Token]) -> Iterator[str]:
    """The source with placeholders for all that Jinja2 reads; its comments are left out."""
    reading: list[str] = []
    begun = 0
    for line, kind, value in _lexed(source):
        if kind.endswith("_begin") and kind != "raw_begin":
            reading, begun = [value], line
        elif kind in {"variable_end", "block_end", "raw_begin", "raw_end"}:
            name = f"{prefix}{len(tokens)}x"
            whole = "".join([*reading, value])
            tokens[name] = Token(whole, begun if reading else line, kind != "variable_end")
            reading = []
            yield name
        elif kind == "comment_end":
            reading = []
        elif reading:
            reading.append(value)
        else:
            yield value


def _lexed(source: str) -> list[tuple[int, str, str]]:
    try:
        environment("html").parse(source)  # finds what the lexer alone lets pass, such as an end that is missing
        return list(environment("html").lex(source))
    except jinja2.TemplateSyntaxError as error:
        raise BadTemplate(f"line {error.lineno}: {error.message}") from error


def _markup(markup: re.Match[str], protected: Protected, prefix: str) -> str:
    """A piece of markup as it may go to an HTML parser."""
    text = markup.group()
    if text.startswith("<!["):
        name = f"{prefix}{len(protected.tokens)}x"
        protected.tokens[name] = Token(text, 0, is_block=True)
        return f"<!--{name}-->"
    if text.startswith("<!--"):
        return text
    raw = (markup["raw"] or "").lower()
    for name in protected.in_order(text if raw == "style" else _QUOTED.sub("", text) if not raw else ""):
        token = protected.tokens[name]
        if raw == "style" and token.is_block:
            raise _refusal(token, "cannot stand in a style sheet; write both rules and choose by class")
        if not raw:
            raise _refusal(token, 'cannot stand among attributes; write it inside a quoted value: class="{{ … }}"')
    return text


def _refusal(token: Token, reason: str) -> BadTemplate:
    return BadTemplate(f"line {token.line}: {token.source.strip()} {reason}")
