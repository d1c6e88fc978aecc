"""Messages as bytes of NATS's client protocol, encoded in bulk (docs.nats.io/reference/reference-protocols/nats-protocol)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from events.bus import Message
from events.errors import BusError

_ROOM_FOR_HEADERS: Final = 1_024
"""Bytes that our headers take at most, of the server's `max_payload`."""


def frame(subject: str, payload: bytes, reply: bytes = b"") -> bytes:
    """A message without headers."""
    return b"PUB %b %b %d\r\n%b\r\n" % (_known_token(subject), reply, len(payload), payload)


def answer_frames(subjects: Sequence[str], answer: bytes, reply: bytes = b"") -> bytes:
    """The same short answer to each subject, such as `+ACK`; the last one asks for a reply where `reply` is given."""
    tail = b" %d\r\n%b\r\n" % (len(answer), answer)
    frames = [b"PUB %b%b" % (subject.encode(), tail) for subject in subjects]
    if reply:
        frames[-1] = b"PUB %b %b%b" % (subjects[-1].encode(), reply, tail)
    return b"".join(frames)


def atomic_batch(messages: Sequence[Message], batch: bytes, inbox: bytes, max_payload: int) -> bytes:
    """One atomic batch (ADR-50); the answer to the last message answers for all."""
    last = len(messages)
    frames = [
        message_frame(message, b"Nats-Batch-Id: %b\r\nNats-Batch-Sequence: %d\r\n" % (batch, number), b"", max_payload)
        for number, message in enumerate(messages[:-1], start=1)
    ]
    commit = b"Nats-Batch-Id: %b\r\nNats-Batch-Sequence: %d\r\nNats-Batch-Commit: 1\r\n" % (batch, last)
    frames.append(message_frame(messages[-1], commit, inbox + b".0 ", max_payload))
    return b"".join(frames)


def single_messages(messages: Sequence[Message], mark: bytes, inbox: bytes, max_payload: int) -> bytes:
    """Each message on its own, with its own answer, and a mark that says who published it."""
    return b"".join(
        message_frame(message, mark, b"%b.%d " % (inbox, number), max_payload)
        for number, message in enumerate(messages)
    )


def conditional_messages(
    messages: Sequence[Message], sequences: Sequence[int], inbox: bytes, max_payload: int
) -> bytes:
    """Each message on its own, to be stored only if the newest one under its subject is at the sequence given for it."""
    return b"".join(
        message_frame(
            message, b"Nats-Expected-Last-Subject-Sequence: %d\r\n" % sequence, b"%b.%d " % (inbox, number), max_payload
        )
        for number, (message, sequence) in enumerate(zip(messages, sequences, strict=True))
    )


def deletions(stream: str, sequences: Sequence[int], inbox: bytes) -> bytes:
    """Requests to delete single messages, each with its own answer; the bytes on disk go when their block does."""
    subject = f"$JS.API.STREAM.MSG.DELETE.{stream}"
    return b"".join(
        frame(subject, b'{"seq":%d,"no_erase":true}' % sequence, b"%b.%d" % (inbox, number))
        for number, sequence in enumerate(sequences)
    )


def message_frame(message: Message, extra: bytes, reply: bytes, max_payload: int) -> bytes:
    """One message with its headers and `extra` header lines; `reply`, where given, ends with a space."""
    payload = message.payload
    if len(payload) > max_payload - _ROOM_FOR_HEADERS:
        raise BusError(f"a message of {len(payload)} bytes is larger than NATS takes (max_payload {max_payload})")
    headers = b"NATS/1.0\r\nNats-Msg-Id: %b\r\n" % _token(message.id) if message.id else b"NATS/1.0\r\n"
    if message.due_at is not None:
        headers += _schedule(message.due_at, message.target)
    headers = b"%b%b\r\n" % (headers, extra)
    size = len(headers)
    subject = _known_token(message.subject)
    return b"HPUB %b %b%d %d\r\n%b%b\r\n" % (subject, reply, size, size + len(payload), headers, payload)


def _schedule(due_at: float, target: str) -> bytes:
    """The headers of a message that waits for its time (ADR-51)."""
    due = datetime.fromtimestamp(due_at, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
    return b"Nats-Schedule: @at %bZ\r\nNats-Schedule-Target: %b\r\n" % (due.encode("ascii"), _known_token(target))


def _token(text: str) -> bytes:
    """A subject or an id as it stands on the wire, where a space or a line end would be read as something else."""
    if not text.isprintable() or " " in text or not text:
        raise ValueError(f"{text!r} cannot stand in a NATS subject or id")
    return text.encode()


_known_token = lru_cache(maxsize=1_000)(_token)
"""For subjects, which are few; ids are not."""
