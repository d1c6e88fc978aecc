"""What the simulator took and refused, counted so that a campaign's ledger can be checked against it.

The id of every accepted mail is appended to a file, 16 bytes each: 10M mails are 160 MB on disk and nothing in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import time
from typing import Final

ID_LENGTH: Final = 16
_BUFFERED: Final = 65_536
_READ: Final = ID_LENGTH * 65_536


class Counts:
    """Everything that a simulator counts. `close` writes what is still in memory."""

    def __init__(self, state_dir: Path) -> None:
        state_dir.mkdir(parents=True, exist_ok=True)
        self.path = state_dir / "accepted.ids"
        self._file = self.path.open("wb", buffering=0)
        self._buffer = bytearray()
        self.messages = 0
        """Messages taken, repeats included."""
        self.unidentified = 0
        """Of these, those without a mail id."""
        self.bytes = 0
        """Bytes of all messages, taken or not."""
        self.connections = 0
        self.accepted_by_provider: Counter[str] = Counter()
        self.arrivals: dict[str, Counter[int]] = {}
        """Mails taken in each hundredth of a second (Unix time), by provider."""
        self.refused: Counter[str] = Counter()
        """By behaviour; `too-fast` and `too-many-connections` for what was more than a provider bears."""
        self.faults: Counter[str] = Counter()

    def accept(self, mail_id: bytes, provider: str) -> None:
        self.messages += 1
        self.accepted_by_provider[provider] += 1
        arrivals = self.arrivals.get(provider)
        if arrivals is None:
            arrivals = self.arrivals[provider] = Counter()
        arrivals[int(time() * 100)] += 1
        if not mail_id:
            self.unidentified += 1
            return
        self._buffer += mail_id
        if len(self._buffer) >= _BUFFERED:
            self.flush()

    def flush(self) -> None:
        """Everything accepted so far is in the file when this returns."""
        if self._buffer:
            self._file.write(self._buffer)
            self._buffer.clear()

    def close(self) -> None:
        self.flush()
        self._file.close()


def read_ids(path: Path) -> Iterator[bytes]:
    """The mail ids in a file of accepted mails, in order, repeats included."""
    with path.open("rb") as file:
        while chunk := file.read(_READ):
            whole = len(chunk) - len(chunk) % ID_LENGTH
            for start in range(0, whole, ID_LENGTH):
                yield chunk[start : start + ID_LENGTH]


def tally(path: Path) -> tuple[int, int]:
    """How many different ids a file holds, and how many of them more than once. About 1 µs and 17 bytes an id."""
    different = repeated = 0
    for part in _partitions(path).values():
        times = Counter(_split(part))
        different += len(times)
        repeated += sum(1 for count in times.values() if count > 1) if len(times) * ID_LENGTH < len(part) else 0
    return different, repeated


def duplicates(path: Path) -> dict[str, int]:
    """The ids that a file holds more than once, and how often."""
    found: dict[str, int] = {}
    for part in _partitions(path).values():
        if len(set(_split(part))) * ID_LENGTH < len(part):
            found |= {mail_id.decode(): count for mail_id, count in Counter(_split(part)).items() if count > 1}
    return found


def _partitions(path: Path) -> dict[int, bytearray]:
    """The ids by their first character, of which there are 32, so that only one part at a time is unpacked."""
    parts: dict[int, bytearray] = {}
    for mail_id in read_ids(path):
        part = parts.get(mail_id[0])
        if part is None:
            part = parts[mail_id[0]] = bytearray()
        part += mail_id
    return parts


def _split(part: bytearray) -> Iterator[bytes]:
    return (bytes(part[start : start + ID_LENGTH]) for start in range(0, len(part), ID_LENGTH))
