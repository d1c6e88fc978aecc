"""Keys that sign the mails of a measured campaign, made anew for each run."""

from __future__ import annotations

from benchmarks.e2e.newsletter import DOMAIN
from sender.dkim import keys
from sender.settings import DkimKeys


def made() -> DkimKeys:
    """Both kinds, as a sender's settings have them."""
    pem = {one: keys.generate(DOMAIN, f"bench-{one}", one).pem.decode() for one in keys.ALGORITHMS}
    return DkimKeys(
        rsa_selector="bench-rsa",
        rsa_private_key=pem["rsa"],
        ed25519_selector="bench-ed25519",
        ed25519_private_key=pem["ed25519"],
    )
