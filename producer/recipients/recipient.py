"""One recipient, as batches carry them from the splitter to the producers."""

from __future__ import annotations

from typing import Any

import msgspec

from events.providers import Provider


class Recipient(msgspec.Struct, frozen=True, array_like=True, gc=False):
    address: str
    """For RCPT TO and the To header: the domain in ASCII form, the local part as it was written."""
    provider: Provider
    smtputf8: bool
    """The local part is not ASCII: the mail needs SMTPUTF8 (RFC 6531)."""
    values: tuple[Any, ...]
    """One for each of `CompiledCampaign.fields`, defaults applied: text, and from NDJSON and Parquet any JSON value."""

    @property
    def identity(self) -> str:
        """What makes two addresses the same mailbox for us, and what mail ids are made of."""
        return self.address.lower()
