"""The plain way to make a campaign's mail: Jinja2 and `email.message.EmailMessage`, a thousand times as slow."""

from __future__ import annotations

from datetime import UTC, datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Any

from events.tokens import Signer
from producer.campaign.compiled import CompiledCampaign, Mailbox
from producer.recipients.recipient import Recipient
from producer.rendering.environment import Kind, environment

SECRET = "correct horse battery staple"


def mail(campaign: CompiledCampaign, recipient: Recipient, mail_id: str) -> EmailMessage:
    link = f"{campaign.public_url}/u/{Signer(SECRET, 'unsubscribe').token(campaign.id, mail_id)}"
    values = dict(zip(campaign.fields, recipient.values, strict=True)) | {
        "email": recipient.address,
        "mail_id": mail_id,
        "campaign_id": campaign.id,
        "campaign_name": campaign.name,
        "unsubscribe_url": link,
    }
    if campaign.tracking:
        tracked = Signer(SECRET, "track").token(campaign.id, mail_id)
        values |= {
            "jetpost_counted": True,
            "jetpost_click_url": f"{campaign.public_url}/c/{tracked}",
            "jetpost_open_url": f"{campaign.public_url}/o/{tracked}",
        }
    message = EmailMessage(policy=policy.SMTPUTF8)
    message["From"] = address(campaign.from_)
    message["Reply-To"] = [address(box) for box in campaign.reply_to]
    message["To"] = address(Mailbox(recipient.address))
    message["Subject"] = render("text", campaign.subject, values)
    message["Date"] = datetime.fromtimestamp(campaign.created_at, UTC)
    message["Message-ID"] = f"<{mail_id}.{campaign.id}@{campaign.message_id_domain}>"
    message["List-Unsubscribe"] = f"<{link}>"
    message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message["Feedback-ID"] = ":".join(campaign.feedback_id)
    for name, source in campaign.headers:
        message[name] = render("text", source, values)
    message.set_content(render("text", campaign.text, values))
    message.add_alternative(render("html", campaign.html, values), subtype="html")
    return message


def render(kind: Kind, source: str, values: dict[str, Any]) -> str:
    return environment(kind).from_string(source).render(values)


def address(box: Mailbox) -> Address:
    local, _, domain = box.address.rpartition("@")
    return Address(box.name, local, domain)
