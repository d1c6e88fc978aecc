"""`jetpost backup` and `jetpost restore`: what NATS holds, to a folder and back."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import replace

from events import campaigns
from events.nats_archive import Archived
from events.nats_bus import NatsBus
from events.schemas import Campaign
from events.streams import CAMPAIGNS, MAIL, stream_of_bucket
from jetpost import archives, embedded_nats, runtime
from jetpost.cli.state import Fault, bus, configured, err, out, run
from jetpost.settings import Effective

_Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Of this backup alone.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("backup", rich_help_panel="Components")(_backup)
    app.command("restore", rich_help_panel="Components")(_restore)


def _backup(
    folder: _Folder,
    pause: Annotated[
        bool, typer.Option("--pause", help="Pause what is being sent meanwhile, and let it go on afterwards.")
    ] = False,
) -> None:
    """Write all that NATS holds to a folder: campaigns, queues, events, the suppression list, everything.

    Nothing may be sent meanwhile, or a backup would have some mails twice and others not at all: running campaigns must be
    paused, or are with --pause. ClickHouse is filled again from what is in the backup (jetpost rebuild).
    """
    run(_take(folder, pause))


def _restore(folder: _Folder) -> None:
    """Put a backup back into an empty NATS. Campaigns that were not finished are paused: nothing is sent before you say so.

    What was sent after the backup was made is queued again. Compare with the log of your relay before you resume, or cancel.
    """
    run(_put_back(folder))


async def _take(folder: Path, pause: bool) -> None:
    async with bus() as connected:
        active = [one for one in await campaigns.all_of(connected) if _moves(one)]
        if active and not pause:
            raise Fault(f"these campaigns are being sent: {_names(active)}. Pause them first, or give --pause")
        for one in active:
            await campaigns.pause_campaign(connected, one.id)
        try:
            with err.status("waiting until nothing moves …"):
                await archives.settle(connected)
            manifest = await archives.take(connected, folder, time.time(), _tell)
        finally:
            for one in active:
                await campaigns.resume_campaign(connected, one.id, time.time())
    size = sum(one.bytes for one in manifest.streams)
    out.print(f"{folder} has {len(manifest.streams)} streams, {size / 1e6:,.1f} MB.")


async def _put_back(folder: Path) -> None:
    manifest = archives.read(folder)
    by_name = {one.archived.name: one for one in manifest.streams}
    first, last = by_name.pop(stream_of_bucket(CAMPAIGNS)), by_name.pop(MAIL.name)
    async with _empty_bus(configured()) as connected:
        await archives.require_empty(connected, manifest)
        # Whoever waits for streams must not find mails of a campaign that is not paused.
        await archives.put_back(connected, folder, [first], _tell)
        paused = [one for one in await campaigns.all_of(connected) if _moves(one)]
        for one in paused:
            await campaigns.pause_campaign(connected, one.id)
        await archives.put_back(connected, folder, [*by_name.values(), last], _tell)
    taken = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(manifest.taken_at))
    out.print(
        f"NATS has again what it had on {taken}. Now: jetpost setup, start everything, jetpost rebuild --drop-older."
    )
    if paused:
        out.print(
            f"Paused: {_names(paused)}. What was sent since then is queued again: compare with your relay's log, then"
            " jetpost resume or jetpost cancel."
        )


def _moves(campaign: Campaign) -> bool:
    return campaign.finished_at is None and campaign.status in {"planning", "running"}


def _names(found: Sequence[Campaign]) -> str:
    return ", ".join(one.id for one in found)


def _tell(archived: Archived) -> None:
    out.print(f"  {archived.name:<16} {archived.messages:>12,} messages")


@contextlib.asynccontextmanager
async def _empty_bus(found: Effective) -> AsyncIterator[NatsBus]:
    """A connection to what is to be filled; where the settings name no server and no stack runs, to one in `data_dir`, up for so
    long."""
    settings = found.settings
    async with contextlib.AsyncExitStack() as opened:
        if not found.is_set("nats", "url") and runtime.find(settings.data_dir) is None:
            opened.enter_context(runtime.owned(settings.data_dir))
            server = await opened.enter_async_context(embedded_nats.kept_up(settings.data_dir / "nats", "2m"))
            settings = replace(settings, nats=replace(settings.nats, url=server.url))
            found = Effective(settings, {**found.origins, ("nats", "url"): "the embedded server"})
        yield await opened.enter_async_context(bus(found))
