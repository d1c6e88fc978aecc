"""Mailbox providers: who hosts a recipient, told from the domain of the address, or from where its mail goes."""

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

    Hosted domains (Google Workspace, Microsoft 365) count as `other` here: `provider_of_exchanger` knows them.
    """
    return _BY_DOMAIN.get(domain) or _by_brand(domain)


def _by_brand(domain: str) -> Provider:
    brand, _, suffix = domain.partition(".")
    country = suffix.removeprefix("co.").removeprefix("com.")
    return _COUNTRY_BRANDS.get(brand, "other") if len(country) == 2 else "other"


_EXCHANGERS: Final[tuple[tuple[str, Provider], ...]] = (
    (".google.com", "gmail"),
    (".googlemail.com", "gmail"),
    (".protection.outlook.com", "microsoft"),
    (".protection.partner.outlook.cn", "microsoft"),
    (".mx.microsoft", "microsoft"),
    (".yahoodns.net", "yahoo"),
    (".mail.icloud.com", "apple"),
)
"""How the names end of the servers that take mail for domains hosted at a provider.

- Google Workspace: https://support.google.com/a/answer/174125 (smtp.google.com; before 2023 aspmx.l.google.com and others)
- Microsoft 365: https://learn.microsoft.com/microsoft-365/admin/get-help-with-domains/create-dns-records-at-any-dns-hosting-provider,
  with DNSSEC under mx.microsoft: https://learn.microsoft.com/purview/how-smtp-dane-works
- Yahoo: the MX records of its own brands, and of domains that it hosts
- iCloud+ with a custom domain: https://support.apple.com/102374
"""


def provider_of_exchanger(host: str) -> Provider:
    """The provider whose server this mail exchanger (the name in an MX record) is; `other` for everybody else's."""
    name = f".{host.rstrip('.').lower()}"
    return next((provider for ending, provider in _EXCHANGERS if name.endswith(ending)), "other")
