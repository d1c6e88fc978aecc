"""What an operator decides about the endpoints that ESPs call."""

from __future__ import annotations

from pathlib import Path

from events.callbacks import Unasked
from events.esps import EspName
from events.secrets import Discreet


class Webhook(Discreet, frozen=True, kw_only=True):
    """One endpoint, `POST /webhooks/<esp>/<name>`, and how its callbacks are checked (docs/webhooks.md says what each ESP needs).

    Several secrets of a kind may hold at once, so that they can be rotated.
    """

    esp: EspName
    """Who calls: its name as in the path. `standard` is for everybody else."""
    signing_secrets: tuple[str, ...] = ()
    """Mailgun's HTTP webhook signing key; `whsec_…` of Resend and of `standard`. Secret: never logged."""
    public_keys: tuple[str, ...] = ()
    """SendGrid's verification key, as its settings show it."""
    basic_secrets: tuple[str, ...] = ()
    """`user:password` as they stand in the address that the ESP calls (`https://user:password@…`). Secret."""
    bearer_secrets: tuple[str, ...] = ()
    """For `Authorization: Bearer …`. Secret."""
    header: str = ""
    """Name of a header of your own that the ESP sends, where it can; with `header_secrets`."""
    header_secrets: tuple[str, ...] = ()
    """What that header may be. Secret."""
    topic_arns: tuple[str, ...] = ()
    """Amazon SES: the SNS topics that may tell us something. Anybody can subscribe our address to a topic of their own."""
    secrets_file: Path | None = None
    """A TOML file with any of these keys in place of giving them here: `signing_secrets`, `public_keys`, `basic_secrets`,
    `bearer_secrets`, `header_secrets`."""
    allow_from: tuple[str, ...] = ()
    """Addresses or networks (`203.0.113.0/24`) from which alone the endpoint is called; empty: from everywhere."""
    suppress: tuple[Unasked, ...] = ()
    """Who is suppressed beside hard bounces, complaints and unsubscriptions of our own mails: `listed`, addresses that the ESP
    has on a suppression list of its own; `unknown`, recipients of mails that are not ours, as of others who share the account."""
