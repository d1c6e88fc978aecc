"""Reading a stream without consuming it: pages by batched direct get (ADR-31), and a wake-up for what comes later.

A direct get is answered by any copy of the stream, the nearest first, which may lack what others have (`nats_leader`). So whoever
decides by what is not there has the leader asked whether there is more.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Final, NamedTuple

from events import nats_leader
from events.bus import Record
from events.errors import BusError, BusUnavailable
from events.nats_frames import frame
from events.nats_wire import NO_RESPONDERS, ConnectionLost, NoAnswer, NoResponders, WireClient, status_of

PAGE: Final = 1_000
PAGE_BYTES: Final = 8 * 1024 * 1024
"""A page ends at this many messages or bytes."""

TIMEOUT_SECONDS: Final = 10.0
_SILENCES_SECONDS: Final = (2.0, 3.0, 5.0)
"""A page of which nothing comes for so long is asked for again, so often. The server picks who answers, and until it has noticed
that a host is cut off it may pick one there."""
_BEHIND_PAUSE_SECONDS: Final = 0.05
"""Before a copy that lacks something is asked again."""
_SURE_FOR_SECONDS: Final = 1.0
"""So often a follower that must miss nothing asks the leader, and so long a copy may take to catch up with the answer."""
_SOONEST_LOOK_SECONDS: Final = 0.02
_LATEST_LOOK_SECONDS: Final = 1.0
"""A wake-up comes with the publish, which may be a moment before the message is stored, and may be lost with a connection.
So a follower looks again by itself: soon after something came, then ever less often."""

_END_OF_BATCH, _NO_MESSAGES = b"204", b"404"


class StoredMessage(NamedTuple):
    """A message with its headers, as it lies in a stream."""

    record: Record
    headers: dict[str, str]


async def pages(
    client: WireClient, stream: str, filter_subject: str, from_sequence: int
) -> AsyncGenerator[StoredMessage, None]:
    """What the copy that answers has of the stream, in order."""
    pending = True
    while pending:
        page, pending = await _page(client, stream, filter_subject, from_sequence)
        for stored in page:
            yield stored
            from_sequence = stored.record.sequence + 1


async def read(
    client: WireClient, stream: str, filter_subject: str, from_sequence: int
) -> AsyncGenerator[StoredMessage, None]:
    """What lies in the stream, in order, to the end as it is now: all that its leader has.

    Raises `BusUnavailable` where no copy that answers has it within a time.
    """
    loop = asyncio.get_running_loop()
    newest = await nats_leader.newest(client, stream, filter_subject)
    last, moved_at = 0 if newest is None else newest.seq, loop.time()
    while newest is not None and from_sequence <= min(last, newest.seq):
        if loop.time() - moved_at > TIMEOUT_SECONDS:
            raise _behind(stream)
        begun = from_sequence
        async with contextlib.aclosing(pages(client, stream, filter_subject, from_sequence)) as reading:
            async for stored in reading:
                if stored.record.sequence > last:
                    return
                yield stored
                from_sequence = stored.record.sequence + 1
        if from_sequence > last:
            return
        if from_sequence > begun:
            moved_at = loop.time()
        await asyncio.sleep(_BEHIND_PAUSE_SECONDS)
        newest = await nats_leader.newest(client, stream, filter_subject)  # the one before may have been deleted


async def glance(client: WireClient, stream: str, subject: str) -> StoredMessage | None:
    """The newest message under a subject that the copy has which answers: maybe an older one, or none yet."""
    payload, raw_headers = await client.ask_for_message(f"$JS.API.DIRECT.GET.{stream}.{subject}", b"", TIMEOUT_SECONDS)
    status = status_of(raw_headers)
    if status == _NO_MESSAGES:
        return None
    if status:
        raise BusError(f"NATS refused to read {subject}, with status {status.decode()}")
    headers = parse_headers(raw_headers)
    return StoredMessage(_to_record(payload, headers), headers)


async def follow(
    client: WireClient, stream: str, filter_subject: str, from_sequence: int, *, surely: bool = False
) -> AsyncGenerator[StoredMessage, None]:
    """What lies in the stream, then what is stored later, on and on.

    `surely`: raises `BusUnavailable` within seconds where that may be less than the leader has, as on a host that is cut off.
    """
    wait_seconds = _SOONEST_LOOK_SECONDS
    assurance = _Assurance(client, stream, filter_subject)
    while True:
        async with _WakeUp(client, filter_subject) as wake_up:
            found = False
            async with contextlib.aclosing(pages(client, stream, filter_subject, from_sequence)) as reading:
                async for stored in reading:
                    found = True
                    from_sequence = stored.record.sequence + 1
                    yield stored
            if surely:
                await assurance.renew(from_sequence)
            woken = await wake_up.wait(wait_seconds)
        wait_seconds = _SOONEST_LOOK_SECONDS if found or woken else min(2 * wait_seconds, _LATEST_LOOK_SECONDS)


class _Assurance:
    """That a follower has seen what the leader had a moment ago."""

    def __init__(self, client: WireClient, stream: str, filter_subject: str) -> None:
        self._client = client
        self._stream = stream
        self._filter_subject = filter_subject
        self._clock = asyncio.get_running_loop().time
        self._asked_at = self._clock()
        self._owed = 0
        """What the leader had then and the follower had not."""

    async def renew(self, from_sequence: int) -> None:
        """`from_sequence`: everything before it has been seen. Raises `BusUnavailable`."""
        if self._clock() - self._asked_at < _SURE_FOR_SECONDS:
            return
        if self._owed >= from_sequence:
            raise _behind(self._stream)
        self._asked_at = self._clock()
        newest = await nats_leader.newest(self._client, self._stream, self._filter_subject)
        self._owed = 0 if newest is None else newest.seq


def _behind(stream: str) -> BusUnavailable:
    return BusUnavailable(f"the copy of {stream} that answers is behind the others")


class _WakeUp:
    """Notices the next message published under a filter; only the first one travels to us."""

    def __init__(self, client: WireClient, filter_subject: str) -> None:
        self._client = client
        self._filter_subject = filter_subject
        self._woken = asyncio.Event()
        self._receiver = 0

    async def __aenter__(self) -> _WakeUp:
        self._receiver = await self._client.receive(self._filter_subject, self._on_message, max_messages=1)
        return self

    def _on_message(self, *_: bytes) -> None:
        self._woken.set()

    async def wait(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        return self._woken.is_set()

    async def __aexit__(self, *_: object) -> None:
        await self._client.forget(self._receiver)


async def _page(
    client: WireClient, stream: str, filter_subject: str, from_sequence: int
) -> tuple[list[StoredMessage], bool]:
    """A page of messages from a sequence on, and whether there are more."""
    for silence in _SILENCES_SECONDS:
        with contextlib.suppress(NoAnswer):
            return await _Page(client).get(stream, filter_subject, from_sequence, silence)
    raise NoAnswer(sum(_SILENCES_SECONDS))


class _Page:
    """One batched direct get and its answers."""

    def __init__(self, client: WireClient) -> None:
        self._client = client
        self._messages: list[StoredMessage] = []
        self._end: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def get(
        self, stream: str, filter_subject: str, sequence: int, silence_seconds: float
    ) -> tuple[list[StoredMessage], bool]:
        """As `_page`. Raises `NoAnswer` where nothing comes for so long."""
        inbox = self._client.new_inbox()
        request = {"seq": max(sequence, 1), "next_by_subj": filter_subject, "batch": PAGE, "max_bytes": PAGE_BYTES}
        subject = f"$JS.API.DIRECT.GET.{stream}"
        receiver = await self._client.receive(inbox, self._on_message)
        forget_lost = self._client.on_lost(lambda: self._fail(ConnectionLost()))
        forget_refused = self._client.on_refused(subject, self._fail)
        try:
            await self._client.send(frame(subject, json.dumps(request).encode("ascii"), inbox.encode("ascii")))
            while not self._end.done():
                before = len(self._messages)
                await asyncio.wait([self._end], timeout=silence_seconds)
                if not self._end.done() and len(self._messages) == before:
                    raise NoAnswer(silence_seconds)
            return self._messages, self._end.result()
        finally:
            forget_lost()
            forget_refused()
            self._end.cancel()
            await self._client.forget(receiver)

    def _on_message(self, _subject: bytes, _reply: bytes, payload: bytes, raw_headers: bytes) -> None:
        headers = parse_headers(raw_headers)
        status = status_of(raw_headers)
        if not status:
            self._messages.append(StoredMessage(_to_record(payload, headers), headers))
        elif not self._end.done():
            self._finish(status, headers)

    def _finish(self, status: bytes, headers: dict[str, str]) -> None:
        if status == _END_OF_BATCH:
            self._end.set_result(int(headers.get("Nats-Num-Pending", "0")) > 0)
        elif status == _NO_MESSAGES:
            self._end.set_result(False)
        elif status == NO_RESPONDERS:
            self._end.set_exception(NoResponders())
        else:
            self._end.set_exception(BusError(f"NATS refused to read, with status {status.decode()}"))

    def _fail(self, error: BusError) -> None:
        if not self._end.done():
            self._end.set_exception(error)


def parse_headers(raw: bytes) -> dict[str, str]:
    """Names and values of a message's headers."""
    lines = raw.decode("utf-8", "replace").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if line)
    return {name: value.strip() for name, _, value in pairs}


def _to_record(payload: bytes, headers: dict[str, str]) -> Record:
    return Record(
        payload=payload,
        subject=headers["Nats-Subject"],
        sequence=int(headers["Nats-Sequence"]),
        stored_at=_to_unix(headers["Nats-Time-Stamp"]),
        id=headers.get("Nats-Msg-Id", ""),
        due_at=_to_unix(schedule.removeprefix("@at ")) if (schedule := headers.get("Nats-Schedule")) else None,
    )


def _to_unix(timestamp: str) -> float:
    """Unix seconds of an RFC 3339 time in UTC with up to nine digits after the second, which `fromisoformat` refuses."""
    whole, _, fraction = timestamp.rstrip("Z").partition(".")
    return datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp() + float(f"0.{fraction or 0}")
