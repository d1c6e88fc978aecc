"""`jetpost dkim check`: whether DNS says of the keys in the settings what it must."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from jetpost.cli.domains import domain_of
from jetpost.cli.state import Fault, effective, out, run
from jetpost.display import plain
from sender.dkim import published
from sender.dkim.published import Finding
from sender.dkim.signing import domain_for
from sender.settings import DkimKeys

if TYPE_CHECKING:
    from producer.resolver import Resolver


def check(
    domain: Annotated[
        str | None, typer.Argument(help="A domain of From; by default all that have a key.", show_default=False)
    ] = None,
) -> None:
    """Ask the DNS whether it says what it must: of each key that signs, and of DMARC.

    Exit code 1 where something is missing or wrong. Asks the resolvers of `producer.dns_servers`, else those of the system.
    A record that was changed may take as long to be seen as its old one was to be kept (its TTL).

    `jetpost dkim check example.com`
    """
    settings = effective().settings
    wanted = _keys_for(settings.sender.dkim, domain)
    findings = run(_findings(wanted, settings.sender.dkim, settings.producer.dns_servers))
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        colour = "green" if finding.is_good else "red"
        more = f": {plain(finding.said)}" if finding.said else ""
        out.print(f"{plain(finding.name):<{width}}  [{colour}]{finding.state}[/]{more}")
    if not all(finding.is_good for finding in findings):
        out.print("What must be published: [bold]jetpost dkim records[/]")
        raise typer.Exit(1)


def _keys_for(keys: Mapping[str, DkimKeys], author: str | None) -> dict[str, str]:
    """By domain of From the one whose key signs for it. Raises `Fault` where there is none."""
    if not keys:
        raise Fault("sender.dkim has no key: make one with `jetpost dkim keygen`")
    if author is None:
        return {domain: domain for domain in keys}
    name = domain_of(author)
    signer = domain_for(name, keys)
    if signer is None:
        raise Fault(f"sender.dkim has no key for {author!r}; it has {', '.join(keys)}")
    return {name: signer}


async def _findings(wanted: Mapping[str, str], keys: Mapping[str, DkimKeys], servers: Sequence[str]) -> list[Finding]:
    """Raises `Fault` where the DNS does not tell, and `DkimKeyUnusable`."""
    from producer.resolver import Resolver, Unanswered  # noqa: PLC0415 - other commands ask no DNS
    from sender.dkim.keys import load  # noqa: PLC0415 - as in `sender.dkim.signing`

    resolver = Resolver(servers)
    found: list[Finding] = []
    try:
        for author, signer in wanted.items():
            expected = [key.record for key in load(signer, keys[signer])]
            found += [published.of_key(record, await resolver.texts(record.name)) for record in expected]
            found.append(await _dmarc(resolver, author, signer))
    except Unanswered as error:
        raise Fault(f"the DNS does not tell: {error}; producer.dns_servers names other resolvers") from error
    finally:
        await resolver.close()
    return found


async def _dmarc(resolver: Resolver, author: str, signer: str) -> Finding:
    nearest, *_ = names = list(published.dmarc_names(author))
    for name in names:
        if found := published.dmarc_records(await resolver.texts(name)):
            return published.of_dmarc(name, found, author, signer)
    return published.of_dmarc(nearest, [], author, signer)
