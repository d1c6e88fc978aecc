"""`jetpost inspect`: what Jetpost makes of a callback, a reply, an address to fetch.

Each command loads what reads for it: `cryptography` and parsers of mail are not for those who only look at a status.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer

from jetpost.cli.state import Fault

T = TypeVar("T")

_Jsonl = Annotated[
    bool, typer.Option("--jsonl", help="Many at once: one JSON object a line in, one JSON object a line out, in order.")
]


class UrlKind(StrEnum):
    CERTIFICATE = "SigningCertURL"
    CONFIRM = "SubscribeURL"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Look at what comes in, the way Jetpost does.", no_args_is_help=True)
    group.command("webhook")(_webhook)
    group.command("reply")(_reply)
    group.command("bounce")(_bounce)
    group.command("url")(_url)
    app.add_typer(group, name="inspect", rich_help_panel="Look")


def _webhook(
    esp: Annotated[str, typer.Argument(help="Whose callback it is, such as sendgrid.", show_default=False)] = "",
    headers: Annotated[
        Path | None,
        typer.Option(
            help="File with the request's headers, one `Name: value` a line.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    secrets: Annotated[
        Path | None,
        typer.Option(
            help="JSON file with what the check needs; without it nothing is checked.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    now: Annotated[
        float | None,
        typer.Option(help="The time of the check, Unix seconds; by default the present.", show_default=False),
    ] = None,
    jsonl: _Jsonl = False,
) -> None:
    """Check a callback of an ESP, and show what it tells. Its body comes on standard input.

    Examples:

    - `jetpost inspect webhook sendgrid < body.json`
    - `jetpost inspect webhook ses --headers headers.txt --secrets secrets.json < body.json`
    """
    from jetpost.inspection import webhook  # noqa: PLC0415 - as above

    if jsonl:
        _each(webhook.Item, webhook.inspect)
        return
    if not esp:
        raise Fault("name the ESP whose callback it is, such as `jetpost inspect webhook sendgrid < body.json`")
    given = None if secrets is None else _secrets(secrets, webhook.SECRETS)
    item = webhook.Item(
        esp,
        _headers(headers),
        now=time.time() if now is None else now,
        secrets=webhook.SKIP if given is None else given,
    )
    item.body_b64 = msgspec.to_builtins(sys.stdin.buffer.read())
    _print(webhook.inspect(item))


def _secrets(file: Path, known: Collection[str]) -> dict[str, Any]:
    """Raises `Fault` for what is no JSON object, or would be ignored."""
    try:
        found = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise Fault(f"{file} is no JSON object with secrets: {error}") from error
    if strange := sorted(found.keys() - known):
        raise Fault(f"{file}: {strange[0]!r} is no secret of a callback; there are {', '.join(known)}")
    return found


def _headers(file: Path | None) -> dict[str, str]:
    lines = file.read_text(encoding="utf-8").splitlines() if file else []
    pairs = (line.partition(":") for line in lines if ":" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}


def _reply(
    text: Annotated[str, typer.Argument(help="The reply; without it standard input.", show_default=False)] = "",
    provider: Annotated[str, typer.Option(help="The mailbox provider that gave it, such as gmail.")] = "",
    jsonl: _Jsonl = False,
) -> None:
    """Judge an SMTP reply: its class, the reason, whether the address is dead, when to come back.

    Example: `jetpost inspect reply "550 5.1.1 no such user"`
    """
    from jetpost.inspection import reply  # noqa: PLC0415 - as above

    if jsonl:
        _each(reply.Item, reply.inspect)
    else:
        _print(reply.inspect(reply.Item(text or sys.stdin.read(), provider)))


def _bounce(jsonl: _Jsonl = False) -> None:
    """Read a mail that came back: whom it is about, and what it says. It comes on standard input.

    With `--jsonl` each line names a file: `{"file": "bounce.eml"}`.

    Example: `jetpost inspect bounce < bounce.eml`
    """
    from analytics.bounces.parsing import MAX_BYTES  # noqa: PLC0415 - as above
    from analytics.bounces.read import read  # noqa: PLC0415 - as above
    from jetpost.inspection import bounce  # noqa: PLC0415 - as above

    if jsonl:
        _each(bounce.Item, bounce.inspect)
    else:
        _print(bounce.shown(read(sys.stdin.buffer.read(MAX_BYTES))))


def _url(
    url: Annotated[str, typer.Argument(help="The address.", show_default=False)],
    kind: Annotated[UrlKind, typer.Option(help="What it is for, in a message of Amazon SNS.")],
) -> None:
    """Say whether an address in a message of Amazon SNS may be fetched: exit code 0, or 1 where it may not."""
    from analytics.callbacks import sns  # noqa: PLC0415 - as above

    allowed = (sns.may_fetch_certificate if kind is UrlKind.CERTIFICATE else sns.may_confirm)(url)
    typer.echo("may be fetched" if allowed else "must not be fetched")
    raise typer.Exit(0 if allowed else 1)


def _each(kind: type[T], inspect: Callable[[T], dict[str, Any]]) -> None:
    """An answer to every line, whatever is in it."""
    for line in _lines(sys.stdin.buffer):
        try:
            answer = inspect(msgspec.json.decode(line, type=kind))
        except (msgspec.MsgspecError, Fault, ValueError, OSError) as error:
            answer = {"error": str(error)}
        sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.buffer.flush()


def _lines(source: Iterable[bytes]) -> Iterable[bytes]:
    return (line for line in source if line.strip())


def _print(answer: dict[str, Any]) -> None:
    typer.echo(msgspec.json.format(msgspec.json.encode(answer)))
