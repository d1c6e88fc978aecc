"""The suppression list as it lies in the stream SUPPRESSION: who gets no mail any more, why, until when, and who does again.

    await suppress(bus, [Entry("ann@example.com", "unsubscribe", time.time(), "one-click", list="news")], hashing)

An entry holds everywhere, or for the campaigns of one list. What is said of an address adds up and never weakens: what holds
longer stands, then the graver reason, then what came first; only a removal takes it back, and only what came before it. So
saying something twice is harmless, and so is the order in which two say it.

Addresses are told apart by a hash of 128 bits. Where a secret is set (`SuppressionSettings`) it is keyed with it, and neither
the stream nor an export holds an address. Who keeps the list in memory: `suppression_list`; how the stream stays short:
`suppression_book`. Reasons and costs: docs/decisions/0015-suppression.md.
"""

from __future__ import annotations

import hmac
import re
import secrets
import struct
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

import msgspec

from events import compression, streams, subjects
from events.addresses import identity
from events.bus import Bus, Message
from events.errors import BusError

Reason: TypeAlias = Literal["soft_bounce", "esp_list", "manual", "hard_bounce", "unsubscribe", "complaint"]
"""Why an address gets no mail; the gravest last."""
REASONS: Final[tuple[Reason, ...]] = get_args(Reason)

MESSAGE_ENTRIES: Final = 2_000
"""In one message at most: some 80 KB, so that an import of 5 million is 2,500 messages."""

_MOST_OPEN: Final = 500
"""Messages that are filled at the same time; bounds memory where every entry has a source of its own."""

MIN_SECRET_BYTES: Final = 16
KEY_BYTES: Final = 16
_SPELLED: Final = re.compile(rf"(\w+):([0-9a-f]{{{2 * KEY_BYTES}}})")
LATEST: Final = 0xFFFF_FFFF
"""In the year 2106."""


class SuppressionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the suppression list is kept."""

    hash_secret: str = ""
    """Set it and the list holds keyed hashes instead of addresses, in NATS and in exports; every process needs the same one. An
    entry made with a secret means nothing without it: keep it, and never change it."""


class SuppressionError(BusError):
    """Something is wrong with the suppression list."""


class SecretTooShort(SuppressionError):
    """The secret of the suppression list is too short to protect anybody."""


class ForeignHashes(SuppressionError):
    """The list holds hashes made with another secret: nobody can tell whom they mean."""


class Entry(NamedTuple):
    """Somebody gets no mail any more. Times are Unix seconds."""

    address: str
    """Normalised (`producer.recipients.addresses.normalise`); empty where only the key is known."""
    reason: Reason
    at: float
    source: str = ""
    """Who says so: `campaign spring-sale`, `one-click`, the name of a file."""
    list: str = ""
    """For the campaigns of which list; empty: for all."""
    expires_at: float | None = None
    key: bytes = b""
    """Stands for the address where that is not known."""
    replaces: bool = False
    """What was said of the address before, for this list, holds no longer: a removal and an entry at once."""


class Removal(NamedTuple):
    """Somebody may get mail again: what was said of the address before, for this list, holds no longer."""

    address: str
    at: float
    source: str = ""
    list: str = ""
    key: bytes = b""


class Hashing:
    """Makes the keys that stand for addresses: 0.5 µs each. Raises `SecretTooShort`."""

    def __init__(self, secret: str = "") -> None:
        if 0 < len(secret.encode()) < MIN_SECRET_BYTES:
            raise SecretTooShort(
                f"suppression.hash_secret is too short: set it to at least {MIN_SECRET_BYTES} random characters, "
                "or leave it empty to keep addresses"
            )
        key = hmac.digest(secret.encode(), b"suppression", "sha256") if secret else b""
        self.scheme = blake2b(b"scheme", key=key, digest_size=4).hexdigest() if secret else ""
        """Names the secret without telling it; empty: there is none, and addresses are kept."""
        self._begin = blake2b(key=key, digest_size=KEY_BYTES).copy

    @property
    def conceals(self) -> bool:
        """Whether addresses are kept nowhere."""
        return bool(self.scheme)

    def key(self, address: str) -> bytes:
        """The key of a normalised address."""
        begun = self._begin()
        begun.update(identity(address).encode())
        return begun.digest()


PLAIN: Final = Hashing()


class Rows(msgspec.Struct, frozen=True, array_like=True):
    """One message: entries, or removals, which share all that is not in columns. New fields go last, with defaults."""

    action: Literal["add", "remove", "replace"]
    list: str
    reason: str
    """Empty for removals."""
    source: str
    scheme: str
    """Whose hashes the keys are (`Hashing.scheme`)."""
    keys: bytes
    """16 bytes each."""
    times: bytes
    """When it was said, as unsigned 32-bit integers, little-endian, like `expiries`: Unix seconds."""
    expiries: bytes = b""
    """0: never. Empty: all never."""
    addresses: bytes = b""
    """Empty where they are kept nowhere; one as it is, several by line in a zstd frame."""
    as_of: int = 0
    """Above 0: this says again what held up to this sequence of the stream, for those who cannot read that any more."""

    @property
    def count(self) -> int:
        return len(self.keys) // KEY_BYTES

    def each_key(self) -> Iterator[bytes]:
        return (self.keys[start : start + KEY_BYTES] for start in range(0, len(self.keys), KEY_BYTES))

    def each_expiry(self) -> tuple[int, ...]:
        return _numbers(self.expiries) if self.expiries else (0,) * self.count

    def each_address(self) -> Sequence[str]:
        """Empty ones where they are kept nowhere."""
        if not self.addresses:
            return [""] * self.count
        packed = self.addresses if self.count == 1 else compression.decompress(self.addresses)
        return packed.decode().split("\n")

    def entries(self) -> Sequence[Entry]:
        """What was said, for a message that adds or replaces."""
        columns = zip(self.each_address(), _numbers(self.times), self.each_expiry(), self.each_key(), strict=True)
        reason = reason_of(self.reason)
        return [
            Entry(address, reason, at, self.source, self.list, expiry or None, key, self.action == "replace")
            for address, at, expiry, key in columns
        ]

    def removals(self) -> Sequence[Removal]:
        """What was said, for a message that removes."""
        columns = zip(self.each_address(), _numbers(self.times), self.each_key(), strict=True)
        return [Removal(address, at, self.source, self.list, key) for address, at, key in columns]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Rows).decode


def decode(payload: bytes) -> Rows:
    """Raises `msgspec.DecodeError`."""
    rows: Rows = _decode(payload)
    return rows


def reason_of(word: str) -> Reason:
    """A reason of a later release is taken for the gravest of ours: whoever it is about gets no mail."""
    return word if word in REASONS else REASONS[-1]


_Kind: TypeAlias = tuple[Literal["add", "remove", "replace"], str, str, str]


class Packer:
    """Packs entries and removals into as few messages as it takes; what differs in list, reason or source goes in different
    ones. Entries and removals of one address keep their order only where `finish` comes between them. Each message has an id of
    its own: the same words after a removal are no repetition."""

    def __init__(self, hashing: Hashing, *, as_of: int = 0) -> None:
        self._hashing = hashing
        self._as_of = as_of
        self._open: dict[_Kind, list[Entry | Removal]] = {}

    def put(self, one: Entry | Removal) -> list[Message]:
        """Messages that are to go now: one that is full, or all where too many are open."""
        kind = _kind_of(one)
        group = self._open.setdefault(kind, [])
        group.append(one)
        if len(group) == MESSAGE_ENTRIES:
            del self._open[kind]
            return [_message(kind, group, self._hashing, self._as_of)]
        return self.finish() if len(self._open) > _MOST_OPEN else []

    def finish(self) -> list[Message]:
        """Everything that is left."""
        groups, self._open = self._open, {}
        return [_message(kind, group, self._hashing, self._as_of) for kind, group in groups.items()]


def _kind_of(one: Entry | Removal) -> _Kind:
    if isinstance(one, Entry):
        return "replace" if one.replaces else "add", one.list, one.reason, one.source
    return "remove", one.list, "", one.source


def _message(kind: _Kind, group: Sequence[Entry | Removal], hashing: Hashing, as_of: int) -> Message:
    action, list_, reason, source = kind
    expiries = [_expiry(one) for one in group]
    rows = Rows(
        action=action,
        list=list_,
        reason=reason,
        source=source,
        scheme=hashing.scheme,
        keys=b"".join(_key(one, hashing) for one in group),
        times=_packed([int(one.at) for one in group]),
        expiries=_packed(expiries) if any(expiries) else b"",
        addresses=b"" if hashing.conceals else _addresses(group),
        as_of=as_of,
    )
    return Message(subjects.SUPPRESSION, _encode(rows), secrets.token_hex(8))


def _key(one: Entry | Removal, hashing: Hashing) -> bytes:
    key = hashing.key(one.address) if one.address else one.key
    if len(key) != KEY_BYTES:
        raise ValueError("an entry needs an address, or a key of 16 bytes")
    return key


def _addresses(group: Sequence[Entry | Removal]) -> bytes:
    lines = "\n".join(one.address for one in group).encode()
    return lines if len(group) == 1 else compression.compress(lines)


def _expiry(one: Entry | Removal) -> int:
    return max(1, int(one.expires_at)) if isinstance(one, Entry) and one.expires_at is not None else 0


def _packed(numbers: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *(min(max(number, 0), LATEST) for number in numbers))


def _numbers(packed: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(packed) // 4}I", packed)


def message_of(one: Entry | Removal, hashing: Hashing) -> Message:
    """A message of its own."""
    packer = Packer(hashing)
    packer.put(one)
    (message,) = packer.finish()
    return message


_AT_ONCE: Final = 20
"""Messages published together: some 2 MB."""


async def suppress(bus: Bus, said: Iterable[Entry | Removal], hashing: Hashing = PLAIN) -> int:
    """Store entries and removals; returns how many. They are in force everywhere within about a second.

    Harmless to repeat. Raises `RetryLater`; then some were stored or none, and the same call again settles it.
    """
    store, number = Store(bus, hashing), 0
    for one in said:
        await store.put(one)
        number += 1
    await store.finish()
    return number


class Store:
    """Stores entries and removals as they come, some 40,000 together; all are stored when `finish` returns."""

    def __init__(self, bus: Bus, hashing: Hashing, *, as_of: int = 0) -> None:
        self._bus = bus
        self._packer = Packer(hashing, as_of=as_of)
        self._full: list[Message] = []

    async def put(self, one: Entry | Removal) -> None:
        """Raises `RetryLater`."""
        self._full += self._packer.put(one)
        if len(self._full) >= _AT_ONCE:
            await self._publish()

    async def finish(self) -> None:
        """Raises `RetryLater`."""
        self._full += self._packer.finish()
        await self._publish()

    async def _publish(self) -> None:
        await self._bus.publish(streams.SUPPRESSION.name, self._full)
        self._full = []


def spell(key: bytes, hashing: Hashing) -> str:
    """A key as exports write it, with the name of the secret it was made with."""
    return f"{hashing.scheme or 'plain'}:{key.hex()}"


def read_spelled(text: str, hashing: Hashing) -> bytes:
    """The key that an export wrote. Raises `ValueError` for what is none, or was made with another secret."""
    spelled = _SPELLED.fullmatch(text.strip())
    if spelled is None:
        raise ValueError(f"{text!r} is no hash of an export")
    scheme, digits = spelled.groups()
    if scheme != (hashing.scheme or "plain"):
        raise ValueError("the hash was made with another suppression.hash_secret than the one that is set")
    return bytes.fromhex(digits)
