"""Whether receivers can tell that a campaign's mails are from whom they say, as far as that is known without DNS."""

from __future__ import annotations

from msgspec.structs import replace

from events.providers import provider_of
from jetpost.settings import Settings
from producer.campaign import locate
from producer.campaign.check import Checked
from producer.campaign.problems import Problem
from sender.dkim.signing import domain_for


def checked_for_authentication(checked: Checked, settings: Settings) -> Checked:
    """The same with a warning more where mails from its domain will not pass DMARC, or go out unsigned."""
    if checked.launchable is None:
        return checked
    campaign = checked.launchable.campaign
    domain = campaign.from_.address.rpartition("@")[2]
    relay = settings.sender.pools.get(campaign.pool)
    relay_signs = relay is not None and relay.relay_signs
    if provider_of(domain) != "other":
        message = (
            f"{domain} is the domain of a mailbox provider, and only its own servers can sign for it: DMARC will fail."
        )
        fix = "Send from a domain of your own."
    elif not relay_signs and domain_for(domain, settings.sender.dkim) is None:
        message = f"{domain} has no DKIM key in sender.dkim: its mails go out unsigned, which bulk mail must not be."
        fix = f"Make one: jetpost dkim keygen {domain}; or set relay_signs for the pool {campaign.pool} if its relay signs."
    else:
        return checked
    return replace(checked, warnings=[*checked.warnings, _about_from(checked, message, fix)])


def _about_from(checked: Checked, message: str, fix: str) -> Problem:
    line = locate.lines_of_keys(checked.path.read_text("utf-8-sig")).get(("from",))
    return Problem(str(checked.path), line, "from", message, fix)
