"""What an operator decides about bounce mail."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from events.secrets import Discreet
from events.verp import MIN_SECRET_BYTES


class ImapSettings(Discreet, frozen=True, kw_only=True):
    """A folder on an IMAP server (RFC 9051, RFC 3501) that bounces end in."""

    host: str = ""
    """Name of the server; empty: none is read."""
    port: int = 0
    """0: 993 with `implicit`, else 143."""
    tls: Literal["implicit", "starttls", "none"] = "implicit"
    """`starttls` refuses to go on without TLS. `none` sends the password in the clear: only on the same machine."""
    username: str = ""
    """Whose mailbox it is."""
    password: str = ""
    """Secret: never logged. Where a provider wants OAuth 2 of programs, an app password."""
    ca_file: str = ""
    """PEM file with the authorities to trust; empty: those of the system."""
    verify: bool = True
    """Check the server's certificate and name. Turn off only against a server of your own without a certificate."""
    folder: str = "INBOX"
    """Read as a whole: let nothing but bounces come here."""
    every_seconds: float = 15.0
    """So often the folder is looked at."""
    after: Literal["move", "seen", "delete"] = "move"
    """What becomes of a mail that was read: `move` puts it into `move_to`; `seen` marks it, and whatever a person opened first is
    never read; `delete` removes it."""
    move_to: str = "Jetpost"
    """Folder for mails that were read; made where there is none."""

    def __post_init__(self) -> None:
        """Raises `ValueError`, which says what to do."""
        if not self.host:
            return
        if not self.username or not self.password:
            raise ValueError("host is set: set username and password, too")
        if self.after == "move" and self.folder == self.move_to:
            raise ValueError("move_to is folder: name another folder, or set after to seen or delete")


class BounceSettings(Discreet, frozen=True, kw_only=True):
    """Where mail to the return path comes in (docs/bounces.md)."""

    host: str = "127.0.0.1"
    """Address to listen on; the default takes mail from this machine's own mail server alone."""
    port: int = 0
    """Port to listen on, such as 24 for LMTP or 25 for SMTP; 0: any free one, which the log tells."""
    protocol: Literal["lmtp", "smtp"] = "lmtp"
    """LMTP (RFC 2033) behind a mail server of your own, SMTP where the MX record leads here."""
    listen: bool = True
    """Turn off where bounces come by `maildir` or `imap` alone."""
    domains: tuple[str, ...] = ()
    """Domains of return paths; mail to others is refused. Empty: mail to any domain is taken, and counts only if it is ours."""
    maildir: Path | None = None
    """A Maildir that a mail server delivers bounces to; what is in `new` is read and moved to `cur`."""
    maildir_seconds: float = 2.0
    """So often the Maildir is looked at."""
    imap: ImapSettings = ImapSettings()
    """Bounces that end in a mailbox on a mail server."""
    max_message_bytes: int = 10_485_760
    """What is larger is refused by LMTP and SMTP, and elsewhere read in part. Bounces may hold the whole mail."""
    old_verp_secrets: tuple[str, ...] = ()
    """Earlier values of `sender.verp_secret`: bounces may come days later. Secret."""

    def __post_init__(self) -> None:
        """Raises `ValueError`, which says what to do."""
        if any(len(secret.encode()) < MIN_SECRET_BYTES for secret in self.old_verp_secrets):
            raise ValueError(f"old_verp_secrets must have at least {MIN_SECRET_BYTES} characters each")
