"""What an operator decides about the web app."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

import msgspec

from analytics.web.webhooks.settings import Webhook

Serve = Literal["all", "inside", "public"]


class WebSettings(msgspec.Struct, frozen=True, kw_only=True):
    host: str = "127.0.0.1"
    """Address to listen on. The default answers this machine only; `0.0.0.0` answers every network: set `api_token` then."""
    port: int = 8080
    """Port to listen on; 0 takes a free one."""
    public_url: str = ""
    """How people reach the dashboard, such as `https://mail.example.com`, where that is not `http://host:port`."""
    allowed_hosts: tuple[str, ...] = ()
    """More host names that requests may name, besides loopback, IP addresses, `host` and that of `public_url`. Others are
    refused, because a hostile page could otherwise reach a dashboard on this machine through a name of its own."""
    api_token: str = ""
    """Secret. Where set, the API and the dashboard ask for it (`Authorization: Bearer …`, or the sign-in form)."""
    serve: Serve = "all"
    """`inside`: the dashboard and the API; `public`: what recipients see (unsubscribing, counted links), which needs NATS alone;
    `all`: both on one port."""
    links_url: str = ""
    """Where recipients reach what is public; empty: `producer.public_url`. Requests for it must name its host, or one of
    `allowed_hosts`: those that mails in the past were sent with."""
    link_secret: str = ""
    """Checks the links in mails; empty: `producer.link_secret`. A secret."""
    old_link_secrets: tuple[str, ...] = ()
    """Those that signed before: mails in people's mailboxes go on working. Secret."""

    webhooks: dict[str, Webhook] = msgspec.field(default_factory=dict)
    """The endpoints that ESPs call, by name; served where what is public is."""
    trusted_proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    """Addresses or networks of proxies in front: from them alone `X-Forwarded-For` is believed, which `allow_from` goes by."""

    @property
    def public_hosts(self) -> frozenset[str]:
        """What requests for what is public may name."""
        named = (urlsplit(self.links_url).hostname or "", *self.allowed_hosts)
        return frozenset(name.lower() for name in named if name)

    def __repr__(self) -> str:
        token = "'…'" if self.api_token else "''"
        return f"WebSettings(host={self.host!r}, port={self.port}, public_url={self.public_url!r}, api_token={token})"


SECRETS = frozenset({"api_token", "link_secret", "old_link_secrets"})
"""Fields that are never shown or logged."""
