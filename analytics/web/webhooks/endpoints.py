"""Endpoints as they are used: secrets read, addresses parsed, mistakes told before anybody calls."""

from __future__ import annotations

import base64
import ipaddress
import re
import secrets as random
import tomllib
from collections.abc import Mapping
from typing import Final, NamedTuple, TypeAlias

import msgspec

from analytics.callbacks import credentials, sendgrid
from analytics.callbacks.base import Esp, Secrets
from analytics.callbacks.registry import ESPS
from analytics.web.webhooks.settings import Webhook
from events.callbacks import Unasked

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_SIGNED: Final = "signing_secrets"
_KNOWN: Final = ("basic_secrets", "bearer_secrets", "header_secrets")
_NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "mailgun": (_SIGNED,),
    "resend": (_SIGNED,),
    "standard": (_SIGNED,),
    "ses": ("topic_arns",),
    "sendgrid": ("public_keys", *_KNOWN),
}
"""Any one of these will do; of other ESPs any of `_KNOWN`."""


is_name: Final = re.compile(r"[a-z0-9-]{1,32}", re.ASCII).fullmatch
"""It is a part of the path, and of a subject of NATS."""


class WebhookUnusable(ValueError):
    """An endpoint cannot be used as it is set."""


class _Given(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a file of secrets may hold."""

    signing_secrets: tuple[str, ...] = ()
    public_keys: tuple[str, ...] = ()
    basic_secrets: tuple[str, ...] = ()
    bearer_secrets: tuple[str, ...] = ()
    header_secrets: tuple[str, ...] = ()


class Endpoint(NamedTuple):
    name: str
    esp: Esp
    secrets: Secrets
    networks: tuple[Network, ...] = ()
    suppress: tuple[Unasked, ...] = ()

    @property
    def known_by_headers(self) -> bool:
        """Whether who calls is told without reading the body."""
        return self.esp.verify is credentials.by_credentials

    def may_call(self, address: str) -> bool:
        """Whether whoever has this address may call."""
        if not self.networks:
            return True
        try:
            given = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(given, ipaddress.IPv6Address) and given.ipv4_mapped:
            given = given.ipv4_mapped
        return any(given in network for network in self.networks)


def endpoints(webhooks: Mapping[str, Webhook]) -> dict[tuple[str, str], Endpoint]:
    """By ESP and name, as they stand in paths. Raises `WebhookUnusable`."""
    for name in webhooks:
        if not is_name(name):
            raise WebhookUnusable(f"web.webhooks.{name}: a name has 1 to 32 lower-case letters, digits and hyphens")
    return {(webhook.esp, name): _endpoint(name, webhook) for name, webhook in webhooks.items()}


def decoy(esp: Esp) -> Endpoint:
    """Stands where no endpoint is: it takes as long to refuse as a real one, and believes nobody."""
    made = (random.token_hex(),)
    secrets = Secrets(
        signing_key=made,
        public_key=(sendgrid.any_public_key(),),
        webhook_secret=(base64.b64encode(random.token_bytes(24)).decode(),),
        basic=(f"{made[0]}:{made[0]}",),
        bearer=made,
    )
    return Endpoint("", esp, secrets)


def _endpoint(name: str, webhook: Webhook) -> Endpoint:
    where = f"web.webhooks.{name}"
    given = _Given() if webhook.secrets_file is None else _from_file(where, webhook)
    all_of = {field: (*getattr(webhook, field), *getattr(given, field)) for field in _Given.__struct_fields__}
    _require(where, webhook, all_of)
    secrets = Secrets(
        signing_key=all_of["signing_secrets"],
        public_key=all_of["public_keys"],
        webhook_secret=all_of["signing_secrets"],
        basic=all_of["basic_secrets"],
        bearer=all_of["bearer_secrets"],
        headers={webhook.header.lower(): all_of["header_secrets"]} if webhook.header else {},
        topic_arns=webhook.topic_arns,
    )
    return Endpoint(name, ESPS[webhook.esp], secrets, tuple(_networks(where, webhook.allow_from)), webhook.suppress)


def _from_file(where: str, webhook: Webhook) -> _Given:
    assert webhook.secrets_file is not None, "only where there is one"
    try:
        return msgspec.convert(tomllib.loads(webhook.secrets_file.read_text("utf-8")), _Given)
    except OSError as error:
        raise WebhookUnusable(f"{where}.secrets_file: {webhook.secrets_file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise WebhookUnusable(f"{where}.secrets_file: {webhook.secrets_file} cannot be used: {error}") from error


def _require(where: str, webhook: Webhook, given: Mapping[str, tuple[str, ...]]) -> None:
    needed = _NEEDS.get(webhook.esp, _KNOWN)
    if not any(given.get(field) or (field == "topic_arns" and webhook.topic_arns) for field in needed):
        raise WebhookUnusable(
            f"{where} has nothing to check the callbacks of {webhook.esp} with, so none would be believed: set"
            f" {' or '.join(needed)} (docs/webhooks.md says where to find it)"
        )
    for field, values in given.items():
        if not all(values):
            raise WebhookUnusable(f"{where}.{field} has an empty value, which would prove nothing")
    _require_keys(where, webhook, given[_SIGNED])
    if given["header_secrets"] and not webhook.header:
        raise WebhookUnusable(f"{where}.header_secrets needs the name of the header: set {where}.header")
    if not all(":" in one for one in given["basic_secrets"]):
        raise WebhookUnusable(f"{where}.basic_secrets must be like user:password")
    if not all(map(sendgrid.is_public_key, given["public_keys"])):
        raise WebhookUnusable(
            f"{where}.public_keys has one that is no elliptic-curve key: copy SendGrid's verification key"
        )


def _require_keys(where: str, webhook: Webhook, given: tuple[str, ...]) -> None:
    """Of Standard Webhooks: a key that was copied in part would make every callback look forged."""
    for secret in given:
        must = webhook.esp == "resend" or (webhook.esp == "standard" and secret.startswith("whsec_"))
        if must and not credentials.standard_key(secret):
            raise WebhookUnusable(f"{where}.{_SIGNED} must be whsec_ and base64, as the ESP shows it; is it whole?")


def _networks(where: str, given: tuple[str, ...]) -> list[Network]:
    try:
        return [ipaddress.ip_network(one) for one in given]
    except ValueError as error:
        raise WebhookUnusable(f"{where}.allow_from: {error}; give addresses, or networks like 203.0.113.0/24") from None
