"""Whether a person or a machine fetched a picture or followed a link, as far as one request tells. Pure.

What one request does not tell is judged when clicks are counted: those within seconds of their mail's acceptance, and many
links at once (`analytics.engagement`). A wrong "machine" hides a reader, a wrong "person" invents one; where nothing is known
it is a person.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple


class Visitor(NamedTuple):
    machine: str = ""
    """Why it is no person, in a word; empty: it may be one."""
    client: str = ""
    """A proxy that fetches pictures when a person looks at them."""


_PROXIES: Final = (("GoogleImageProxy", "google-proxy"), ("YahooMailProxy", "yahoo-proxy"))
"""They hide who looks, and when again, but they fetch when somebody does."""

_GMAIL_PREFETCH: Final = "Edge/12.246 Mozilla/5.0"
"""Ends the user agent with which Gmail fetches pictures before it shows a mail (SparkPost, January 2022)."""

_ROBOTS: Final = re.compile(
    r"(?<!cu)bot\b|crawl|spider|slurp|scanner|linkexpanding|preview|prefetch|monitor|headless|phantomjs|existence discovery"
    r"|facebookexternalhit|whatsapp|embedly|validator|archiver"
    r"|\bcurl/|\bwget/|python|aiohttp|httpx|\bjava/|okhttp|go-http-client|libwww|httpclient|axios|node-fetch|\bruby\b|guzzle"
    r"|barracuda|proofpoint|mimecast|messagelabs|symantec|trendmicro|trend micro|forcepoint|fireeye|trellix|ironport"
    r"|cloudmark|bitdefender|kaspersky|sophos|avanan|zscaler|safelinks|fortiguard|vade\b|spamhaus|virustotal",
    re.IGNORECASE,
)
"""Words in the user agents of tools and of security products. Not "Microsoft Office": Outlook says so where people read mail."""

_BROWSER: Final = re.compile(r"Version/|Safari/|Chrome/|Mobile/|Firefox/|Edg|Outlook|Thunderbird")
_PREFETCHING: Final = ("sec-purpose", "purpose", "x-purpose", "x-moz")


def of_open(method: str, headers: dict[str, str]) -> Visitor:
    """Who fetched a pixel. Names of headers are in lower case."""
    agent = headers.get("user-agent", "").strip()
    for word, client in _PROXIES:
        if word in agent:
            return Visitor("", client)
    return Visitor(_machine(method, agent, headers) or _apple(agent, headers.get("accept", "")))


def of_click(method: str, headers: dict[str, str]) -> Visitor:
    """Who followed a link."""
    return Visitor(_machine(method, headers.get("user-agent", "").strip(), headers))


def _machine(method: str, agent: str, headers: dict[str, str]) -> str:
    if method == "HEAD":
        return "head"
    if not agent:
        return "no-agent"
    if agent.endswith(_GMAIL_PREFETCH):
        return "gmail-prefetch"
    if any("prefetch" in headers.get(name, "") for name in _PREFETCHING):
        return "prefetch"
    return "scanner" if _ROBOTS.search(agent) else ""


def _apple(agent: str, accept: str) -> str:
    """Mail Privacy Protection fetches every picture of every mail, read or not, and calls itself no more than a browser engine.

    Apple Mail without it looks nearly the same, but asks for pictures.
    """
    if agent == "Mozilla/5.0":
        return "apple-mpp"
    bare = "AppleWebKit/" in agent and not _BROWSER.search(agent)
    return "apple-mpp" if bare and not accept.startswith("image/") else ""
