"""What mails carry for the ESPs that they go through, so that their callbacks find them."""

from __future__ import annotations

from msgspec.structs import replace

from jetpost.settings import Settings
from producer.campaign.check import Checked


def checked_with_esps(checked: Checked, settings: Settings) -> Checked:
    """The same, its mails made for the ESPs behind the pools that they may go through."""
    launchable = checked.launchable
    if launchable is None:
        return checked
    pools = {launchable.campaign.pool, *(pool for route in launchable.routes.values() for pool in route)}
    relays = [settings.sender.pools[pool] for pool in pools if pool in settings.sender.pools]
    esps = tuple(sorted({relay.esp for relay in relays if relay.esp}))
    if not esps:
        return checked
    return replace(checked, launchable=replace(launchable, campaign=replace(launchable.campaign, esps=esps)))
