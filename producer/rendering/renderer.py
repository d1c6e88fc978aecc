"""Rendering: a compiled campaign becomes a `Renderer`, which makes a complete RFC 5322 message for each recipient.

The same campaign and recipient give the same bytes, on every host and in every run: a batch that is resumed may be
rendered again.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import NamedTuple, TypeAlias

from events import ids
from events.addresses import identity
from events.compression import MAX_CONTENT_BYTES, Dictionary
from events.forms import Filler, Filling
from events.tokens import Signer
from producer.campaign.compiled import CompiledCampaign
from producer.recipients.recipient import Recipient
from producer.rendering.blanks import Blanks
from producer.rendering.errors import Unrenderable
from producer.rendering.message import MAC, TRACK_MAC, skeleton
from producer.rendering.segments import Row
from producer.rendering.tracking import COUNTED
from producer.settings import ProducerSettings

Filled: TypeAlias = "tuple[str, Filling, bool]"
"""Mail id, what fills in the form, and `Rendered.smtputf8`."""


class Rendered(NamedTuple):
    mail_id: str
    message: bytes
    """The complete message, CRLF line ends, dots not stuffed."""
    smtputf8: bool
    """An address in it is not ASCII: it can only travel with SMTPUTF8 (RFC 6531)."""


def compile_campaign(campaign: CompiledCampaign, settings: ProducerSettings) -> Renderer:
    """Parse and encode all that is constant. Raises `BadTemplate`, and `ValueError` where `link_secret` is missing."""
    tracker = Signer(settings.link_secret, "track") if campaign.tracking else None
    return Renderer(campaign, Signer(settings.link_secret, "unsubscribe"), tracker)


class Renderer:
    """Renders the mails of one campaign; holds no state between them but who refuses to be counted."""

    row: Callable[[Recipient], Row]
    """What the templates see: the recipient's values and `compiled.SUPPLIED`, which cannot be overridden."""

    def __init__(self, campaign: CompiledCampaign, signer: Signer, tracker: Signer | None = None) -> None:
        """`tracker`: of a campaign that tracks."""
        self._names = (*campaign.fields, "email", "mail_id", MAC, "unsubscribe_url", "campaign_id", "campaign_name")
        self._constants = (campaign.id, campaign.name)
        self._signed = f"{campaign.id}."
        self._link = f"{campaign.public_url}/u/{campaign.id}."
        self._digest = ids.mail_digests(campaign.id)
        self._mac = signer.mac
        self.refusers: AbstractSet[str] = frozenset()
        """Addresses (`identity`) whose readers do not want to be counted."""
        self.row = self._row
        if tracker is not None:
            self._names = (*self._names, TRACK_MAC, COUNTED)
            self._track_mac = tracker.mac
            self.row = self._tracked_row
        pieces = skeleton(campaign)
        blanks = Blanks(pieces)
        self.form, self._fill = blanks.form, blanks.fill
        self._filler = Filler(self.form)
        # Of what stands in every mail only our own addresses may not be ASCII. Options are no matter: they are encoded wherever
        # they are chosen.
        self._needs_smtputf8 = not all(piece.isascii() for piece in pieces if isinstance(piece, str))

    def _row(self, recipient: Recipient) -> Row:
        mail_id = ids.spell(self._digest(identity(recipient.address)))
        mac = self._mac(self._signed + mail_id)
        own = (recipient.address, mail_id, mac, f"{self._link}{mail_id}.{mac}", *self._constants)
        return Row(zip(self._names, recipient.values + own, strict=True))  # of two with a name the later stays

    def _tracked_row(self, recipient: Recipient) -> Row:
        reader = identity(recipient.address)
        mail_id = ids.spell(self._digest(reader))
        signed = self._signed + mail_id
        mac = self._mac(signed)
        own = (recipient.address, mail_id, mac, f"{self._link}{mail_id}.{mac}", *self._constants)
        tracking = (self._track_mac(signed), reader not in self.refusers)
        return Row(zip(self._names, (*recipient.values, *own, *tracking), strict=True))

    def fill(self, recipient: Recipient) -> Filled:
        """The mail as what fills in `form`. Raises `Unrenderable`, whatever it is in the template or the values."""
        try:
            row = self.row(recipient)
            return row["mail_id"], self._fill(row), self._needs_smtputf8 or not recipient.address.isascii()
        except Unrenderable:
            raise
        except Exception as error:  # a template's expression may raise anything that Python can
            raise Unrenderable(f"{type(error).__name__}: {error}") from error

    def message(self, filling: Filling) -> bytes:
        """Raises `Unrenderable` for a mail that cannot be queued."""
        message = self._filler.fill(filling).encode()
        if len(message) > MAX_CONTENT_BYTES:
            raise Unrenderable(f"The mail has {len(message)} bytes; at most {MAX_CONTENT_BYTES} can be queued")
        return message

    def size(self, filling: Filling) -> int:
        """Of the message in characters; in bytes, too, but where it needs SMTPUTF8."""
        return self._filler.length(filling)

    def render(self, recipient: Recipient) -> Rendered:
        """The whole mail. Raises `Unrenderable`."""
        mail_id, filling, smtputf8 = self.fill(recipient)
        return Rendered(mail_id, self.message(filling), smtputf8)

    def dictionary(self, first: Recipient) -> Dictionary:
        """What the campaign's mails share. Raises `Unrenderable`."""
        return Dictionary(self.render(first).message, self.form)
