"""`jetpost dkim`: makes keys, shows what DNS must say of those in use and whether it does, checks a signed mail."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from email import message_from_bytes
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from jetpost.cli import dkim_check
from jetpost.cli.domains import domain_of
from jetpost.cli.state import Fault, effective, err, out
from jetpost.display import plain
from sender.dkim import records
from sender.dkim.signing import domain_for
from sender.drivers.smtp_wire import with_crlf
from sender.settings import DkimKeys


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help="DKIM: make keys, show and check their DNS records, check a signed mail.", no_args_is_help=True
    )
    group.command("keygen")(_keygen)
    group.command("records")(_records)
    group.command("check")(dkim_check.check)
    group.command("verify")(_verify)
    app.add_typer(group, name="dkim", rich_help_panel="Settings and metrics")


def _keygen(
    domain: Annotated[str, typer.Argument(help="The domain of From, or one above it.", show_default=False)],
    selector: Annotated[
        str, typer.Option(help="What the keys' names in DNS begin with; by default year and month.", show_default=False)
    ] = "",
    rsa: Annotated[bool, typer.Option("--rsa", help="Only an RSA key (2048 bits).")] = False,
    ed25519: Annotated[bool, typer.Option("--ed25519", help="Only an Ed25519 key.")] = False,
    directory: Annotated[
        Path,
        typer.Option("--directory", "-d", help="Where the key files go; made where it is missing.", file_okay=False),
    ] = Path(),
) -> None:
    """Make new keys for a domain: files that only you can read, the DNS records to publish, and the settings to paste.

    Both kinds unless one is asked for. Example: `jetpost dkim keygen example.com --directory /etc/jetpost`
    """
    from sender.dkim import keys  # noqa: PLC0415 - as in `sender.dkim.signing`

    name = domain_of(domain)
    base = selector or f"jetpost-{datetime.now(UTC):%Y-%m}"
    wanted = [one for one in keys.ALGORITHMS if rsa == ed25519 or one == ("rsa" if rsa else "ed25519")]
    files = {one: directory.absolute() / f"{name}.{base}-{one}.pem" for one in wanted}
    if existing := next((file for file in files.values() if file.exists()), None):
        raise Fault(f"{existing} exists, and a key is never overwritten. Give the new one another --selector")
    _make_folder(directory)
    made = {one: keys.generate(name, f"{base}-{one}", one) for one in wanted}
    for one, file in files.items():
        _write(file, made[one].pem)
        err.print(f"wrote {plain(str(file))}, which only you can read")
    lines = ["; 1. Publish these records:", *(records.zone_line(key.record) for key in made.values()), ""]
    lines += ["# 2. Add this to the settings of your senders:"]
    lines += [f'[sender.dkim."{name}"]']
    for one, file in files.items():
        lines += [f'{one}_selector = "{base}-{one}"', f"{one}_key_file = {msgspec.json.encode(str(file)).decode()}"]
    lines += ["", f"# 3. When `jetpost dkim check {name}` finds them in the DNS, restart the senders."]
    typer.echo("\n".join(lines))


def _make_folder(directory: Path) -> None:
    """For its owner alone, where it is new."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Fault(f"{directory} cannot be made: {error.strerror}") from error


def _write(file: Path, pem: bytes) -> None:
    """Nobody else can read it, not even for a moment."""
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise Fault(f"{file} cannot be written: {error.strerror}") from error
    with os.fdopen(handle, "wb") as out_file:
        out_file.write(pem)


def _records(
    domain: Annotated[
        str | None, typer.Argument(help="Only of this domain; by default of all.", show_default=False)
    ] = None,
    values: Annotated[
        bool, typer.Option("--values", help="Names and values for a form, in place of zone-file lines.")
    ] = False,
) -> None:
    """Show what DNS must say of the keys in the settings, as lines of a zone file. Secrets are never shown."""
    chosen = _configured(effective().settings.sender.dkim, domain)
    if values:
        typer.echo("\n\n".join(f"{record.name}\n{record.text}" for record in chosen))
    else:
        typer.echo("\n".join(map(records.zone_line, chosen)))


def _configured(settings: dict[str, DkimKeys], domain: str | None) -> list[records.Record]:
    """Raises `Fault` where there is none, and `DkimKeyUnusable`."""
    from sender.dkim import keys  # noqa: PLC0415 - as above

    if domain is not None and domain not in settings:
        raise Fault(f"sender.dkim has no key for {domain!r}; it has {', '.join(settings) or 'none'}")
    if not settings:
        raise Fault("sender.dkim has no key: make one with `jetpost dkim keygen`")
    wanted = settings if domain is None else {domain: settings[domain]}
    return [key.record for name, one in wanted.items() for key in keys.load(name, one)]


def _verify(
    mail: Annotated[
        Path, typer.Argument(help="A mail with its headers (.eml).", exists=True, dir_okay=False, show_default=False)
    ],
    key_record: Annotated[
        Path | None,
        typer.Option(
            help="A file with the records, as `jetpost dkim records` and `dig` print them; by default those of the settings.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
) -> None:
    """Check the DKIM signatures of a mail that was received, against records given here: DNS is not asked.

    Exit code 1 where one does not hold, or there is none. Example: `jetpost dkim verify received.eml`
    """
    from sender.dkim.verification import Verdict, verify  # noqa: PLC0415 - as above

    if key_record is None:
        texts = {record.name: record.text for record in _configured(effective().settings.sender.dkim, None)}
    else:
        texts = records.parse_zone(key_record.read_text("utf-8", "replace"))
    message = with_crlf(mail.read_bytes())
    verdicts: Sequence[Verdict] = verify(message, texts, time.time())
    for verdict in verdicts:
        said = f"[red]broken[/]: {plain(verdict.problem)}" if verdict.problem else "[green]holds[/]"
        out.print(f"{plain(verdict.algorithm)} by {plain(verdict.domain)}, selector {plain(verdict.selector)}: {said}")
    if not verdicts:
        out.print("[red]There is no DKIM signature[/] in this mail.")
    _say_whether_aligned(message, [verdict.domain for verdict in verdicts if not verdict.problem])
    if not verdicts or any(verdict.problem for verdict in verdicts):
        raise typer.Exit(1)


def _say_whether_aligned(message: bytes, domains: Sequence[str]) -> None:
    author = parseaddr(str(message_from_bytes(message)["From"] or ""))[1].rpartition("@")[2].lower()
    if not domains:
        return
    if domain_for(author, dict.fromkeys(domains)):
        out.print(f"From is of {plain(author)}: aligned, so that DMARC passes.")
    else:
        out.print(
            f"[yellow]From is of {plain(author) or 'no domain'}: not aligned[/], so that DMARC does not count these."
        )
