"""Signs the mails of a turn, with the keys of the domain that they are from.

A mail is signed when a session is ready to take it and before it is claimed, on the very bytes that go over the wire: with CRLF
line ends, before dots are stuffed. Each attempt is signed anew, so that a retry has a fresh `t=` and `x=`; a mail that goes from
one session to another within an attempt keeps its signatures. Work is done in a few threads: the operations of RSA and Ed25519,
nine tenths of it, let the event loop go on, and use further cores.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from events.metrics import EMAILS_SIGNED
from events.schemas import Campaign
from sender.dkim.signature import Signer
from sender.drivers.base import Outbound
from sender.drivers.smtp_wire import with_crlf
from sender.settings import DkimKeys, Relay

_log = logging.getLogger(__name__)

_THREADS: Final = min(4, os.cpu_count() or 1)


class Signing:
    """The signers of one sender. Raises `DkimKeyUnusable` where a key that is set cannot be used."""

    def __init__(self, keys: Mapping[str, DkimKeys], clock: Callable[[], float]) -> None:
        self._signers = {domain: _signer(domain, settings) for domain, settings in keys.items()}
        self._clock = clock
        self._chosen: dict[str, Signer | None] = {}
        self._named: set[str] = set()
        """Domains without a key, as far as the log has named them."""
        self._threads = ThreadPoolExecutor(_THREADS, "dkim") if self._signers else None

    def signer(self, relay: Relay, campaign: Campaign) -> Signer | None:
        """Who signs the campaign's mails to this relay; None: nobody does, here. One look into a dictionary."""
        if relay.relay_signs:
            return None
        try:
            return self._chosen[campaign.from_header]
        except KeyError:
            return self._choose(campaign.from_header)

    def _choose(self, from_header: str) -> Signer | None:
        author = domain_of(from_header)
        domain = domain_for(author, self._signers)
        if domain is None and author not in self._named:
            self._named.add(author)
            _log.warning(
                "mails from %s go out without a DKIM signature: sender.dkim has no key for it (see `jetpost dkim keygen`);"
                " set relay_signs in the pool where the relay signs",
                author or "an unknown domain",
            )
        signer = self._chosen[from_header] = None if domain is None else self._signers[domain]
        return signer

    async def sign(self, signer: Signer, mails: Sequence[Outbound]) -> list[Outbound]:
        """The mails with signatures in front, in their order."""
        if not mails:
            return []
        work = partial(_sign_all, signer, mails, self._clock())
        signed = await asyncio.get_running_loop().run_in_executor(self._threads, work)
        EMAILS_SIGNED.labels(signer.domain).inc(len(signed))
        return signed

    def close(self) -> None:
        """No more work; what is under way ends by itself within milliseconds."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)


def require_usable(keys: Mapping[str, DkimKeys]) -> None:
    """For who wants to know before anything else starts. Raises `DkimKeyUnusable`."""
    for domain, settings in keys.items():
        _signer(domain, settings)


def _signer(domain: str, settings: DkimKeys) -> Signer:
    from sender.dkim import keys  # noqa: PLC0415 - 40 ms and 8 MB that a sender without keys need not spend

    return Signer(domain, [key.signing for key in keys.load(domain, settings)])


def _sign_all(signer: Signer, mails: Sequence[Outbound], now: float) -> list[Outbound]:
    return [_signed(signer, mail, now) for mail in mails]


def _signed(signer: Signer, mail: Outbound, now: float) -> Outbound:
    message = mail.message if mail.in_lines else with_crlf(mail.message)
    return mail._replace(message=signer.sign(message, now), in_lines=True)


def domain_of(from_header: str) -> str:
    """The domain of `Ann <ann@example.com>`, as `Campaign.from_header` has it; empty where there is none."""
    _, at, domain = from_header.rpartition("@")
    return domain.strip("> ").lower() if at else ""


def domain_for(author: str, signing: Mapping[str, object]) -> str | None:
    """Of the domains that sign the one nearest to that of From: itself, or a parent. Any other would not be aligned with it
    (RFC 7489 §3.1.1), and a signature that says nothing about From is of no use to DMARC."""
    domain = author
    while domain:
        if domain in signing:
            return domain
        domain = domain.partition(".")[2]
    return None
