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


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which dead letters somebody asks for; what is None matches all. Times are Unix seconds."""

    campaign: str | None = None
    provider: str | None = None
    failure_class: str | None = None
    code: int | None = None
    enhanced: str | None = None
    reason: str | None = None
    recipient: str | None = None
    since: float | None = None
    until: float | None = None

    @property
    def subject(self) -> str:
        """What narrows the reading down on the server."""
        return subjects.dlq_where(self.campaign or "*", self.provider or "*", self.failure_class or "*")

    def matches(self, letter: DeadLetter) -> bool:
        asked = {
            "campaign": self.campaign,
            "provider": self.provider,
            "failure_class": self.failure_class,
            "code": self.code,
            "enhanced": self.enhanced,
            "reason": self.reason,
        }
        return (
            all(value is None or getattr(letter, name) == value for name, value in asked.items())
            and (self.recipient is None or letter.mail.recipient == self.recipient)
            and (self.since is None or letter.at >= self.since)
            and (self.until is None or letter.at <= self.until)
        )


async def matching(bus: Bus, wanted: Wanted) -> AsyncIterator[Letter]:
    """The letters that somebody asks for, oldest first. Raises `RetryLater`."""
    async for letter in read(bus, wanted.subject):
        if wanted.matches(letter.letter):
            yield letter
