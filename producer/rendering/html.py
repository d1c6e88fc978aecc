"""What happens to a campaign's HTML once, before any recipient: CSS goes where mail clients honour it, text is derived."""

from __future__ import annotations

import re
from typing import Final

import css_inline
import jinja2

from producer.rendering import plain_text
from producer.rendering.environment import environment
from producer.rendering.errors import BadTemplate
from producer.rendering.protection import protect, restore

_INLINER: Final = css_inline.CSSInliner(
    keep_at_rules=True,  # media queries cannot be inlined: dark mode and small screens stay in <style>
    remove_inlined_selectors=True,
    load_remote_stylesheets=False,
)
_STYLESHEET_LINK: Final = re.compile(r"<link\b[^>]*\bstylesheet\b[^>]*>|@import\b[^;]*;", re.IGNORECASE)


def inline_css(source: str) -> str:
    """The template with its style sheets moved into `style` attributes; media queries and conditional comments stay.

    Nothing is loaded from anywhere. Raises `BadTemplate`.
    """
    protected = protect(source)
    remote = _STYLESHEET_LINK.search(protected.html)
    if remote is not None:
        line = protected.html.count("\n", 0, remote.start()) + 1
        raise BadTemplate(
            f"line {line}: {protected.fill(remote.group())} would have to be loaded; put the rules into <style>"
        )
    try:
        inlined = _INLINER.inline(protected.html)
    except css_inline.InlineError as error:
        raise BadTemplate(
            f"The CSS cannot be inlined: {error}. In a style attribute {{{{ … }}}} may stand for a value, and {{% if %}} "
            "inside one, but not around declarations."
        ) from error
    return restore(inlined, protected)


def derive_text(html: str) -> str:
    """A plain-text template with what a reader of the HTML template sees, best derived after `inline_css`.

    Raises `BadTemplate` where a block begins in one place that is shown and ends in one that is not.
    """
    text = plain_text.from_html(protect(html))
    try:
        environment("text").parse(text)
    except jinja2.TemplateSyntaxError as error:
        raise BadTemplate(f"No text part can be derived, please write one: {error.message}") from error
    return text
