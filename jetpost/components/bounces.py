"""The process that takes bounce mail."""

from __future__ import annotations

import contextlib
import logging
import time
from functools import partial

from analytics.post import door, imap, maildir
from analytics.post.intake import KEPT_BYTES, Intake
from events.tokens import Checker
from events.verp import VerpChecker
from jetpost.components.together import together
from jetpost.errors import Fault
from jetpost.process import Process
from jetpost.settings import Settings

_log = logging.getLogger(__name__)


async def run(process: Process) -> None:
    """Take mail until told to stop. Raises `Fault` where nothing could be known to be ours, or nothing can come in."""
    settings, found = process.settings.bounces, process.settings
    intake = Intake(process.bus, _verp(found), _links(found), time.time)
    async with contextlib.AsyncExitStack() as opened:
        addresses = {}
        if settings.listen:
            take = partial(intake.take, endpoint=settings.protocol)
            try:
                host, port = await opened.enter_async_context(door.listening(settings, take))
            except OSError as error:
                raise Fault(
                    f"cannot listen on {settings.host}:{settings.port} ({error.strerror}); set bounces.port to another, or to 0"
                ) from error
            addresses[settings.protocol] = f"{host}:{port}"
            _log.info("taking bounce mail by %s on %s:%d", settings.protocol, host, port)
        process.announce(**addresses)
        readers = []
        if settings.maildir is not None:
            readers.append(lambda: _read_maildir(process, intake))
        if settings.imap.host:
            readers.append(lambda: _read_imap(process, intake))
        await together(process.stop, *readers, process.stop.wait)


async def _read_imap(process: Process, intake: Intake) -> None:
    settings = process.settings.bounces
    most_bytes = min(KEPT_BYTES, settings.max_message_bytes)
    await imap.run(settings.imap, most_bytes, partial(intake.take, endpoint="imap"), process.stop)


async def _read_maildir(process: Process, intake: Intake) -> None:
    settings = process.settings.bounces
    assert settings.maildir is not None, "asked before"
    take = partial(intake.take, endpoint="maildir")
    try:
        await maildir.run(settings.maildir, settings.maildir_seconds, settings.max_message_bytes, take, process.stop)
    except OSError as error:
        raise Fault(f"bounces.maildir: {settings.maildir} cannot be read as a Maildir: {error.strerror}") from error


def _verp(settings: Settings) -> VerpChecker:
    if not settings.sender.verp_secret:
        raise Fault(
            "sender.verp_secret must be set, the same as for the senders: it proves that a bounce is about a mail of ours."
            " Set JETPOST_SENDER_VERP_SECRET"
        )
    if not (settings.bounces.listen or settings.bounces.maildir or settings.bounces.imap.host):
        raise Fault(
            "bounces.listen is off, and neither bounces.maildir nor bounces.imap.host is set: no mail could come in"
        )
    return VerpChecker((settings.sender.verp_secret, *settings.bounces.old_verp_secrets))


def _links(settings: Settings) -> Checker | None:
    secret = settings.web.link_secret or settings.producer.link_secret
    return Checker((secret, *settings.web.old_link_secrets), "unsubscribe") if secret else None
