"""What producers need of a campaign, whole: no files, no look-ups, the same bytes on every host.

It lies in the blob `<campaign>/compiled`. What the senders need of the campaign is `events.schemas.Campaign`.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from events.esps import EspName
from events.links import Links
from events.schemas import Tracking

SUPPLIED: Final = ("email", "mail_id", "campaign_id", "campaign_name", "unsubscribe_url")
"""Variables that every template may use without the audience having them; the renderer fills them in for each mail.

`email` is the address as it is sent to.
"""


class Mailbox(msgspec.Struct, frozen=True, array_like=True):
    """An address with the name shown beside it (RFC 5322 §3.4); both checked, neither encoded."""

    address: str
    """Normalised: the domain in its ASCII form, the local part as it was written."""
    name: str = ""


class Unsubscribe(msgspec.Struct, frozen=True, array_like=True):
    """What List-Unsubscribe says (RFC 2369, RFC 8058)."""

    link: bool = True
    """An HTTPS link of our own for each mail, with one-click POST."""
    mailto: str = ""
    """An address that takes unsubscriptions by mail; empty: none."""


class CompiledCampaign(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A checked campaign. Templates are Jinja2 sources whose variables are `fields`, `SUPPLIED` and nothing else."""

    id: str
    name: str
    pool: str
    created_at: int
    """Unix seconds: the launch, or the start that it planned. The Date header of every mail, so that rendering twice gives the
    same bytes."""
    from_: Mailbox
    reply_to: tuple[Mailbox, ...] = ()
    return_path: str
    """The envelope sender (RFC 5321 §3.3)."""
    subject: str
    """Template, plain text."""
    html: str
    """Template, with the CSS inlined already."""
    text: str
    """Template, plain text; derived from the HTML where the campaign has none of its own."""
    headers: tuple[tuple[str, str], ...] = ()
    """Further headers in the order of the file: name, and a template for the value."""
    fields: tuple[str, ...] = ()
    """Names of the values in each `Recipient.values`, in their order: the audience's variables that templates use."""
    defaults: dict[str, Any] = {}
    """What stands where a recipient has no value or an empty one. Already applied in `Recipient.values`."""
    unsubscribe: Unsubscribe = Unsubscribe()
    public_url: str
    """What links begin with, without a slash at the end."""
    feedback_id: tuple[str, ...] = ()
    """The pieces of Feedback-ID, sender id last (Gmail's feedback loop); empty: no such header."""
    message_id_domain: str
    """The right side of every Message-ID, ASCII."""
    charset: str = "utf-8"
    list: str = ""
    """Whose subscribers it goes to, for the suppression list; empty: no list's."""
    tracking: Tracking = Tracking()
    """`html` has what it asks for already (`producer.rendering.tracking`)."""
    links: Links = ()
    """What the numbers in its links stand for."""
    esps: tuple[EspName, ...] = ()
    """Those that its pools hand mails to: each mail carries what their callbacks give back."""


encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(CompiledCampaign).decode


def decode(blob: bytes) -> CompiledCampaign:
    """Raises `msgspec.DecodeError` for what is not a campaign of this or an earlier release."""
    campaign: CompiledCampaign = _decode(blob)
    return campaign


def blob_name(campaign: str) -> str:
    return f"{campaign}/compiled"


def dictionary_name(campaign: str) -> str:
    """The blob with what all mails share (`events.compression.Dictionary`): the first one, and the form."""
    return f"{campaign}/dictionary"


def batch_name(campaign: str, number: int) -> str:
    """The blob with the recipients of a batch (`producer.recipients.blob`)."""
    return f"{campaign}/batch/{number}"
