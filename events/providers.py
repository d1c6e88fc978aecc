"""Mailbox providers: who hosts a recipient, told from the domain of the address alone."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Literal, get_args

Provider = Literal["gmail", "microsoft", "yahoo", "apple", "other"]
PROVIDERS: Final[tuple[Provider, ...]] = get_args(Provider)

_DOMAINS: Final[dict[Provider, tuple[str, ...]]] = {
    "gmail": ("gmail.com", "googlemail.com"),
    "microsoft": ("hotmail.com", "live.com", "msn.com", "outlook.com", "passport.com", "windowslive.com"),
    "yahoo": ("aol.com", "myyahoo.com", "rocketmail.com", "sky.com", "verizon.net", "yahoo.com", "ymail.com"),
    "apple": ("icloud.com", "mac.com", "me.com"),
}
_COUNTRY_BRANDS: Final[dict[str, Provider]] = {
    "hotmail": "microsoft",
    "live": "microsoft",
    "outlook": "microsoft",
    "yahoo": "yahoo",
}
"""Brands that these providers run under many country domains (hotmail.fr, live.co.uk, yahoo.com.br)."""

_BY_DOMAIN: Final = {domain: provider for provider, domains in _DOMAINS.items() for domain in domains}


@lru_cache(maxsize=50_000)
def provider_of(domain: str) -> Provider:
    """The mailbox provider of a lower-case domain; `other` where the domain alone does not tell.

    Hosted domains (Google Workspace, Microsoft 365) need their MX records looked up and count as `other` here.
    """
    return _BY_DOMAIN.get(domain) or _by_brand(domain)


def _by_brand(domain: str) -> Provider:
    brand, _, suffix = domain.partition(".")
    country = suffix.removeprefix("co.").removeprefix("com.")
    return _COUNTRY_BRANDS.get(brand, "other") if len(country) == 2 else "other"
