"""What lies in the DLQ: a mail that was given up, with the reason and everything needed to try it again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

import msgspec

from events import streams, subjects
from events.bus import Bus
from events.schemas import Mail


class DeadLetter(msgspec.Struct, frozen=True, array_like=True):
    """A mail that was given up. New fields go last, with defaults."""

    campaign: str
    pool: str
    provider: str
    mail: Mail
    """As it was tried last; its `history` holds every try, the last included."""
    failure_class: str
    reason: str
    """A short word for counting, such as `spam_content`."""
    code: int
    enhanced: str
    reply: str
    at: float
    """When it was given up, Unix seconds."""


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(DeadLetter).decode


def subject_of(letter: DeadLetter) -> str:
    return subjects.dlq(letter.campaign, letter.provider, letter.failure_class)


def id_of(letter: DeadLetter) -> str:
    """The `Nats-Msg-Id` that makes giving up the same try twice harmless."""
    return f"{letter.mail.mail_id}/{letter.mail.attempt}/dead"


class Letter(NamedTuple):
    """A dead letter and where it lies in the DLQ."""

    sequence: int
    letter: DeadLetter

    @property
    def attempt(self) -> tuple[str, int]:
        """The try that was the last one; a crash may leave two letters about one try."""
        return self.letter.mail.mail_id, self.letter.mail.attempt


async def read(bus: Bus, filter_subject: str) -> AsyncIterator[Letter]:
    """What lies in the DLQ, oldest first. Raises `RetryLater`."""
    async for record in bus.read(streams.DLQ.name, filter_subject):
        yield Letter(record.sequence, decode(record.payload))
