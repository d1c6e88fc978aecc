"""The pages at the door: small, without scripts, readable by everybody, in light and in dark.

Each is one form with buttons. Opening a page changes nothing, whoever opens it; pressing a button does.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from html import escape
from typing import Final, Literal, NamedTuple, TypeAlias

from analytics.web.public.known import Sender

Choice: TypeAlias = Literal["list", "all", "again", "untrack", "track"]
"""What a button asks for: to leave the list, to leave everything, to take that back; not to be counted, and to be."""

FIELD: Final = "do"
"""Names the choice in the form. A scanner that submits forms would have to choose."""

_STYLE: Final = """
:root{color-scheme:light dark;--page:#f4f5f7;--card:#fff;--text:#1c2430;--soft:#55606f;--line:#d8dde4;--main:#1f5eff;--on:#fff}
@media(prefers-color-scheme:dark){
:root{--page:#12161c;--card:#1b212a;--text:#e8ecf2;--soft:#a3adba;--line:#38414d;--main:#8fb0ff;--on:#0c1220}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem 1rem;background:var(--page);color:var(--text);
font:1.0625rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{width:100%;max-width:32rem;background:var(--card);border:1px solid var(--line);border-radius:.75rem;padding:2rem}
h1{margin:0 0 .5rem;font-size:1.5rem;line-height:1.25;text-wrap:balance}
h2{margin:1.75rem 0 .25rem;padding-top:1.5rem;border-top:1px solid var(--line);font-size:1.0625rem}
p{margin:0 0 1rem;overflow-wrap:anywhere}
h2+p{color:var(--soft);font-size:.9375rem}
button{display:block;width:100%;min-height:2.75rem;margin:.5rem 0 0;padding:.6rem 1rem;border:1px solid var(--line);
border-radius:.5rem;background:transparent;color:var(--text);font:inherit;font-weight:600;cursor:pointer}
button.main{border-color:var(--main);background:var(--main);color:var(--on)}
button:hover{border-color:var(--main)}
button:focus-visible{outline:3px solid var(--main);outline-offset:2px}
""".strip()

STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
"""What a content security policy calls the style sheet (CSP 3 §2.3.1)."""


class _Button(NamedTuple):
    choice: Choice
    label: str
    main: bool = False


class _Part(NamedTuple):
    title: str
    text: str
    """HTML."""
    buttons: Iterable[_Button]


def asking(sender: Sender) -> bytes:
    """What a person sees who follows the unsubscribe link."""
    leave = [_Button("list" if sender.list else "all", "Unsubscribe", main=True)]
    if sender.list:
        leave.append(_Button("all", f"Unsubscribe from all mail of {_plain(sender)}"))
    what = f"the list {_strong(sender.list)} of {_name(sender)}" if sender.list else f"mail from {_name(sender)}"
    return _page(
        "Unsubscribe?",
        f"You are about to leave {what}. Nothing has changed yet.",
        leave,
        [_tracking(sender), _Part("Unsubscribed by mistake?", "You can have these mails again.", [_AGAIN])],
    )


def done(choice: Choice, sender: Sender) -> bytes:
    """What a person sees who pressed a button."""
    match choice:
        case "list" | "all":
            what = f"the list {_strong(sender.list)} of {_name(sender)}" if choice == "list" else _name(sender)
            text = f"You get no more mail from {what}. A mail that is on its way at this moment may still arrive."
            return _page("You are unsubscribed", text, [], [_Part("A mistake?", "Take it back here.", [_AGAIN])])
        case "again":
            leave = _Button("list" if sender.list else "all", "Unsubscribe")
            return _page("You are subscribed again", f"You get mail from {_name(sender)} as before.", [leave], [])
        case "untrack":
            text = f"{_name(sender)} does not learn any more whether you open mails or follow links in them."
            return _page("Tracking is off", text, [_Button("track", "Turn it on again")], [])
        case "track":
            text = f"{_name(sender)} may count which mails you open and which links you follow."
            return _page("Tracking is on", text, [_Button("untrack", "Turn it off")], [])


def unknown() -> bytes:
    """The same for every link that is not good, so that nobody learns from it."""
    return _page(
        "This link does not work",
        "It is incomplete or was changed on its way. Please copy it from the mail as a whole, or answer the mail.",
        [],
        [],
    )


def unavailable() -> bytes:
    return _page("Please try again in a minute", "Something is not reachable here. Nothing was changed.", [], [])


def not_understood() -> bytes:
    return _page("Nothing was changed", "Please open the link from the mail and press a button there.", [], [])


_AGAIN: Final = _Button("again", "Subscribe again")


def _tracking(sender: Sender) -> _Part:
    counted = [word for word, is_on in (("opens", sender.tracking.opens), ("clicks", sender.tracking.clicks)) if is_on]
    now = f"This mail counts {' and '.join(counted)}." if counted else "This mail does not count opens or clicks."
    text = f"{now} You can say for all mails whether yours may be counted."
    return _Part("Your privacy", text, [_Button("untrack", "Do not count my opens and clicks")])


def _name(sender: Sender) -> str:
    return _strong(_plain(sender))


def _plain(sender: Sender) -> str:
    return sender.name or "this sender"


def _strong(text: str) -> str:
    return f"<strong>{escape(text)}</strong>"


def _page(title: str, text: str, buttons: Iterable[_Button], parts: Iterable[_Part]) -> bytes:
    """`text` is HTML. The form goes to the address of the page itself."""
    form = _buttons(buttons) + "".join(
        f"<h2>{escape(part.title)}</h2><p>{part.text}</p>{_buttons(part.buttons)}" for part in parts
    )
    body = f'<form method="post">{form}</form>' if form else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="robots" content="noindex">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1><p>{text}</p>{body}</main></body></html>"
    ).encode()


def _buttons(buttons: Iterable[_Button]) -> str:
    return "".join(
        f'<button{" class=main" if button.main else ""} name="{FIELD}" value="{button.choice}">{escape(button.label)}</button>'
        for button in buttons
    )
