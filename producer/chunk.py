"""A chunk: what lies between two checkpoints of a batch, rendered and compressed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

from events import facts, ids, preferences, providers, schemas, streams, subjects
from events.bus import Bus, Message
from events.compression import MAX_FILLING_BYTES, Compressor
from events.facts import EmailFailed, EmailSuppressed
from events.forms import Filling
from events.schemas import Mail
from events.suppression import Reason
from events.suppression_list import SuppressionList
from producer.campaign import compiled
from producer.evidence import Evidence
from producer.recipients.recipient import Recipient
from producer.rendering.errors import Unrenderable
from producer.rendering.renderer import Renderer, compile_campaign
from producer.settings import ProducerSettings

CHUNK: Final = 4 * streams.ATOMIC_BATCH
"""Rows in a chunk. A checkpoint takes some round trips to the server, so it should not come too often."""

FULL_BYTES: Final = 512 * 1024
"""A chunk ends before its rows do where its mails are large: it bounds memory, and how far the high-water mark is overshot."""

_RENDER_AT_ONCE: Final = 200
"""Mails rendered before the event loop gets a turn: 2 ms of work."""

_log = logging.getLogger(__name__)


class Chunk(NamedTuple):
    start: int
    end: int
    """Rows of the batch, from and before."""
    mails: tuple[Message, ...]
    withheld: tuple[Message, ...]
    """Events of the recipients who get no mail: it cannot be rendered, or they are suppressed."""
    queued: int
    failed: int
    suppressed: int
    raw_bytes: int
    queued_bytes: int

    @property
    def mail_ids(self) -> frozenset[str]:
        return _ids((*self.mails, *self.withheld))

    def without(self, known: Evidence) -> Chunk:
        """Less to publish. What is known is part of the chunk all the same, and counts as what it was when it was published:
        a mail that is queued although its recipient was suppressed since, and the other way round."""
        ids = known.queued | known.withheld
        now_queued = len(known.queued & _ids(self.withheld)) - len(known.withheld & _ids(self.mails))
        return self._replace(
            mails=_without(self.mails, ids),
            withheld=_without(self.withheld, ids),
            queued=self.queued + now_queued,
            suppressed=self.suppressed - now_queued,
        )


def _ids(messages: tuple[Message, ...]) -> frozenset[str]:
    return frozenset(message.id.partition("/")[0] for message in messages)


def _without(messages: tuple[Message, ...], mail_ids: AbstractSet[str]) -> tuple[Message, ...]:
    return tuple(message for message in messages if message.id.partition("/")[0] not in mail_ids)


class Press:
    """All that one campaign's mails are made with; kept between its batches."""

    def __init__(
        self,
        campaign: compiled.CompiledCampaign,
        renderer: Renderer,
        compressor: Compressor,
        suppression: SuppressionList | None = None,
    ) -> None:
        """`suppression` None: nobody is suppressed."""
        self.campaign = campaign.id
        self._list = campaign.list
        self._tracks = bool(campaign.tracking)
        self._suppression = suppression
        self._pool = campaign.pool
        self._renderer = renderer
        self._compressor = compressor
        self._takes_fillings = compressor.form == renderer.form
        if not self._takes_fillings:
            # Planned by another release, or for want of a form: zstd does, at some 8 µs more a mail.
            _log.info("%s has another form than this release makes; its mails are compressed as a whole", campaign.id)
        self._subjects = {
            provider: subjects.mail_due(campaign.pool, provider, campaign.id) for provider in providers.PROVIDERS
        }

    @property
    def tracks(self) -> bool:
        return self._tracks

    def leave_uncounted(self, refusers: AbstractSet[str]) -> None:
        """From the next mail on; addresses by `identity`."""
        self._renderer.refusers = refusers

    async def print(self, rows: Sequence[Recipient], start: int, end: int, now: float, *, whole: bool = False) -> Chunk:
        """Render rows `start` to `end`, or unless `whole` until it is full, giving way to other tasks in between."""
        mails: list[Message] = []
        withheld: list[Message] = []
        raw_bytes = queued_bytes = suppressed = 0
        reached = start
        while reached < end and (whole or queued_bytes < FULL_BYTES):
            printed = rows[reached : min(reached + _RENDER_AT_ONCE, end)]
            reached += len(printed)
            already = len(mails)
            gone = self._suppressed(printed)
            if gone:
                withheld += [
                    self._suppressed_fact(row, gone[row.address], now) for row in printed if row.address in gone
                ]
                suppressed += len(gone)
                printed = [row for row in printed if row.address not in gone]
            raw_bytes += self._print(printed, now, mails, withheld)
            queued_bytes += sum(len(mail.payload) for mail in mails[already:])
            await asyncio.sleep(0)
        return Chunk(
            start,
            reached,
            tuple(mails),
            tuple(withheld),
            queued=len(mails),
            failed=len(withheld) - suppressed,
            suppressed=suppressed,
            raw_bytes=raw_bytes,
            queued_bytes=queued_bytes,
        )

    def _print(self, rows: Sequence[Recipient], now: float, mails: list[Message], withheld: list[Message]) -> int:
        """Returns the bytes of the rendered mails."""
        fill, subject_of, encode, raw_bytes = self._renderer.fill, self._subjects, schemas.encode_mail, 0
        for recipient in rows:
            try:
                mail_id, filling, smtputf8 = fill(recipient)
                body, size = self._packed(filling, smtputf8)
            except Unrenderable as error:
                withheld.append(self._failure(recipient, str(error), now))
                continue
            raw_bytes += size
            payload = encode(Mail(mail_id, recipient.address, 1, now, body, smtputf8))
            mails.append(Message(subject_of[recipient.provider], payload, ids.attempt_id(mail_id, 1)))
        return raw_bytes

    def _packed(self, filling: Filling, smtputf8: bool) -> tuple[bytes, int]:
        """The body as it is queued, and its size before."""
        if self._takes_fillings:
            packed = self._compressor.pack(filling)
            if len(packed) <= MAX_FILLING_BYTES:
                return packed, len(self._renderer.message(filling)) if smtputf8 else self._renderer.size(filling)
        message = self._renderer.message(filling)
        return self._compressor.compress(message), len(message)

    def _suppressed(self, rows: Sequence[Recipient]) -> Mapping[str, Reason]:
        if self._suppression is None:
            return {}
        return self._suppression.among(self._list, (row.address for row in rows))

    def _suppressed_fact(self, recipient: Recipient, reason: Reason, now: float) -> Message:
        mail = ids.mail_id(self.campaign, recipient.identity)
        fact = EmailSuppressed(
            self.campaign, now, mail, 0, recipient.address, self._pool, recipient.provider, reason=reason
        )
        return Message(facts.subject_of(fact), facts.encode(fact), facts.id_of(fact))

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

    def __init__(self, bus: Bus, settings: ProducerSettings, suppression: SuppressionList | None = None) -> None:
        self._bus = bus
        self._suppression = suppression
        self._settings = settings
        self._presses: dict[str, Press] = {}

    async def get(self, campaign: str) -> Press:
        """Raises `RetryLater`; `KeyError` and `ValueError` where the campaign is not there or cannot be read."""
        press = self._presses.pop(campaign, None) or await self._make(campaign)
        self._presses[campaign] = press
        if press.tracks:
            press.leave_uncounted(await preferences.refusers(self._bus))
        while len(self._presses) > self.KEPT:
            del self._presses[next(iter(self._presses))]
        return press

    async def _make(self, campaign: str) -> Press:
        blobs = await self._bus.blobs()
        found = compiled.decode(await blobs.get(compiled.blob_name(campaign)))
        dictionary = await blobs.get(compiled.dictionary_name(campaign))
        return Press(found, compile_campaign(found, self._settings), Compressor(dictionary), self._suppression)
