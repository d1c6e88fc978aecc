"""A chunk: as many recipients as one atomic publish takes, rendered and compressed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

from events import facts, ids, providers, schemas, streams, subjects
from events.bus import Bus, Message
from events.compression import Compressor
from events.facts import EmailFailed
from events.schemas import Mail
from producer.campaign import compiled
from producer.recipients.recipient import Recipient
from producer.rendering.errors import Unrenderable
from producer.rendering.renderer import Rendered, Renderer, compile_campaign
from producer.settings import ProducerSettings

CHUNK: Final = streams.ATOMIC_BATCH
"""Rows in a chunk."""

_RENDER_AT_ONCE: Final = 50
"""Mails rendered before the event loop gets a turn: 2 ms of work."""


class Chunk(NamedTuple):
    start: int
    end: int
    """Rows of the batch, from and before."""
    mails: tuple[Message, ...]
    failures: tuple[Message, ...]
    """Events of the recipients whose mail cannot be rendered."""
    queued: int
    failed: int
    raw_bytes: int
    queued_bytes: int

    @property
    def mail_ids(self) -> frozenset[str]:
        return frozenset(message.id.partition("/")[0] for message in (*self.mails, *self.failures))

    def without(self, mail_ids: AbstractSet[str]) -> Chunk:
        """Less to publish; the counts stay, since those mails are part of the chunk all the same."""
        return self._replace(mails=_without(self.mails, mail_ids), failures=_without(self.failures, mail_ids))


def _without(messages: tuple[Message, ...], mail_ids: AbstractSet[str]) -> tuple[Message, ...]:
    return tuple(message for message in messages if message.id.partition("/")[0] not in mail_ids)


class Press:
    """All that one campaign's mails are made with; kept between its batches."""

    def __init__(self, campaign: compiled.CompiledCampaign, renderer: Renderer, compressor: Compressor) -> None:
        self.campaign = campaign.id
        self._pool = campaign.pool
        self._render = renderer.render
        self._compress = compressor.compress
        self._subjects = {
            provider: subjects.mail_due(campaign.pool, provider, campaign.id) for provider in providers.PROVIDERS
        }

    async def print(self, rows: Sequence[Recipient], start: int, end: int, now: float) -> Chunk:
        """Render rows `start` to `end`, giving way to other tasks in between."""
        mails: list[Message] = []
        failures: list[Message] = []
        raw_bytes = 0
        for first in range(start, end, _RENDER_AT_ONCE):
            for recipient in rows[first : min(first + _RENDER_AT_ONCE, end)]:
                try:
                    rendered = self._render(recipient)
                except Unrenderable as error:
                    failures.append(self._failure(recipient, str(error), now))
                else:
                    raw_bytes += len(rendered.message)
                    mails.append(self._mail(recipient, rendered, now))
            await asyncio.sleep(0)
        return Chunk(
            start,
            end,
            tuple(mails),
            tuple(failures),
            queued=len(mails),
            failed=len(failures),
            raw_bytes=raw_bytes,
            queued_bytes=sum(len(mail.payload) for mail in mails),
        )

    def _mail(self, recipient: Recipient, rendered: Rendered, now: float) -> Message:
        body = self._compress(rendered.message)
        mail = Mail(rendered.mail_id, recipient.address, 1, now, body, rendered.smtputf8)
        subject = self._subjects[recipient.provider]
        return Message(subject, schemas.encode_mail(mail), ids.attempt_id(rendered.mail_id, 1))

    def _failure(self, recipient: Recipient, reason: str, now: float) -> Message:
        fact = EmailFailed(
            self.campaign,
            now,
            mail_id=ids.mail_id(self.campaign, recipient.identity),
            attempt=0,
            recipient=recipient.address,
            pool=self._pool,
            provider=recipient.provider,
            failure_class="render",
            code=0,
            enhanced="",
            reply=reason,
        )
        return Message(facts.subject_of(fact), facts.encode(fact), facts.id_of(fact))


class Presses:
    """The presses of the campaigns worked on last."""

    KEPT: Final = 8

    def __init__(self, bus: Bus, settings: ProducerSettings) -> None:
        self._bus = bus
        self._settings = settings
        self._presses: dict[str, Press] = {}

    async def get(self, campaign: str) -> Press:
        """Raises `RetryLater`; `KeyError` and `ValueError` where the campaign is not there or cannot be read."""
        press = self._presses.pop(campaign, None) or await self._make(campaign)
        self._presses[campaign] = press
        while len(self._presses) > self.KEPT:
            del self._presses[next(iter(self._presses))]
        return press

    async def _make(self, campaign: str) -> Press:
        blobs = await self._bus.blobs()
        found = compiled.decode(await blobs.get(compiled.blob_name(campaign)))
        dictionary = await blobs.get(compiled.dictionary_name(campaign))
        return Press(found, compile_campaign(found, self._settings), Compressor(dictionary))
