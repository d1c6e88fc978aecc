"""Whether recipients can follow the links in a campaign's mails, as far as the settings tell."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from msgspec.structs import replace

from jetpost.settings import Settings
from producer.campaign.check import Checked
from producer.campaign.problems import Problem


def checked_for_links(checked: Checked, settings: Settings) -> Checked:
    """The same with a warning more where nobody but this machine reaches `producer.public_url`, or one-click unsubscribing
    needs another (RFC 8058 §3.1: HTTPS)."""
    url = urlsplit(settings.producer.public_url)
    if checked.launchable is None:
        return checked
    if _is_this_machine(url.hostname or ""):
        fact = f"links in the mails, also that for unsubscribing, lead to {settings.producer.public_url}: nobody else gets there."
    elif url.scheme != "https":
        fact = f"{settings.producer.public_url} is not HTTPS: mails lack one-click unsubscribing, which bulk mail must have."
    else:
        return checked
    fix = "Set it to the https address at which recipients reach the web app."
    warning = Problem(str(checked.path), None, "producer.public_url", fact, fix)
    return replace(checked, warnings=[*checked.warnings, warning])


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
