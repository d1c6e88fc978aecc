"""Rendering: a compiled campaign becomes a `Renderer`, which makes a complete RFC 5322 message for each recipient.

The same campaign and recipient give the same bytes, on every host and in every run: a batch that is resumed may be
rendered again.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from events import ids
from events.compression import MAX_CONTENT_BYTES
from events.tokens import Signer
from producer.campaign.compiled import CompiledCampaign
from producer.recipients.recipient import Recipient
from producer.rendering import segments
from producer.rendering.errors import Unrenderable
from producer.rendering.message import TOKEN, skeleton
from producer.settings import ProducerSettings


class Rendered(NamedTuple):
    mail_id: str
    message: bytes
    """The complete message, CRLF line ends, dots not stuffed."""
    smtputf8: bool
    """An address in it is not ASCII: it can only travel with SMTPUTF8 (RFC 6531)."""


def compile_campaign(campaign: CompiledCampaign, settings: ProducerSettings) -> Renderer:
    """Parse and encode all that is constant. Raises `BadTemplate`, and `ValueError` where `link_secret` is missing."""
    return Renderer(campaign, Signer(settings.link_secret, "unsubscribe"))


class Renderer:
    """Renders the mails of one campaign; holds no state between them."""

    def __init__(self, campaign: CompiledCampaign, signer: Signer) -> None:
        self._campaign = campaign.id
        self._fields = campaign.fields
        self._constants = {"campaign_id": campaign.id, "campaign_name": campaign.name}
        self._link = f"{campaign.public_url}/u/"
        self._token = signer.token
        self._join = segments.join(skeleton(campaign))

    def values(self, recipient: Recipient) -> dict[str, Any]:
        """What the templates see: the recipient's values and `compiled.SUPPLIED`, which cannot be overridden."""
        mail_id = ids.mail_id(self._campaign, recipient.identity)
        token = self._token(self._campaign, mail_id)
        values = dict(zip(self._fields, recipient.values, strict=True))
        values.update(self._constants)
        values["email"] = recipient.address
        values["mail_id"] = mail_id
        values["unsubscribe_url"] = self._link + token
        values[TOKEN] = token
        return values

    def render(self, recipient: Recipient) -> Rendered:
        """Raises `Unrenderable`, whatever it is in the template or the values that stands in the way."""
        try:
            values = self.values(recipient)
            text = self._join(values)
            message = text.encode("utf-8")
        except Unrenderable:
            raise
        except Exception as error:  # a template's expression may raise anything that Python can
            raise Unrenderable(f"{type(error).__name__}: {error}") from error
        if len(message) > MAX_CONTENT_BYTES:
            raise Unrenderable(f"The mail has {len(message)} bytes; at most {MAX_CONTENT_BYTES} can be queued")
        return Rendered(values["mail_id"], message, not text.isascii())
