"""All ESPs whose callbacks are understood."""

from __future__ import annotations

from typing import Final

from analytics.callbacks import brevo, mailgun, mailjet, postmark, resend, sendgrid, ses, sparkpost, standard
from analytics.callbacks.base import Esp

ESPS: Final[dict[str, Esp]] = {
    module.ESP.name: module.ESP
    for module in (brevo, mailgun, mailjet, postmark, resend, sendgrid, ses, sparkpost, standard)
}
