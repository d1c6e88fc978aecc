"""Opens audience files, compressed or not; the only importer of `zstandard` on this side, for streams that events/compression.py
does not read."""

from __future__ import annotations

import gzip
import io
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfileobj
from typing import IO, BinaryIO, Final, Literal, cast

import zstandard

from producer.errors import AudienceUnreadable

Compression = Literal["", "gz", "zst"]

_BUFFER_BYTES: Final = 1 << 18
_ZSTD_STEP_BYTES: Final = 1 << 15
"""Compressed bytes unpacked at a time; bounds what one step may yield."""


def open_stream(path: Path, compression: Compression) -> BinaryIO:
    """The unpacked bytes of a file, from the beginning. Raises `AudienceUnreadable`."""
    with readable(path):
        match compression:
            case "":
                return path.open("rb", buffering=_BUFFER_BYTES)
            case "gz":
                return io.BufferedReader(cast("io.RawIOBase", gzip.open(path)), _BUFFER_BYTES)
            case "zst":
                return io.BufferedReader(_ZstdFrames(path.open("rb")), _BUFFER_BYTES)


def open_seekable(path: Path, compression: Compression) -> IO[bytes]:
    """The same for formats that jump about in a file: what is compressed is unpacked into a temporary file first."""
    if not compression:
        return open_stream(path, compression)
    unpacked = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it, and with that it is gone
    with readable(path), open_stream(path, compression) as stream:
        copyfileobj(stream, unpacked, _BUFFER_BYTES)
    unpacked.seek(0)
    return unpacked


def require_whole(path: Path, compression: Compression) -> None:
    """Unpacks a compressed file to its end, which alone shows that nothing is missing. Raises `AudienceUnreadable`."""
    if compression:
        with readable(path), open_stream(path, compression) as stream:
            while stream.read(_BUFFER_BYTES):
                pass


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Whatever reading from a file raises because of the file becomes `AudienceUnreadable`."""
    try:
        yield
    except EOFError as error:
        raise AudienceUnreadable(f"{path} is cut short: it ends in the middle of its compressed data.") from error
    except (gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
        raise AudienceUnreadable(f"{path} is damaged: {error}.") from error
    except OSError as error:
        raise AudienceUnreadable(f"{path} cannot be read: {error.strerror or error}.") from error


class _ZstdFrames(io.RawIOBase):
    """Frames one after the other; unlike the library's own reader it notices when the last one is cut short."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._unpacker = zstandard.ZstdDecompressor().decompressobj()
        self._within_frame = False
        self._packed = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._ready and self._unpack():
            pass
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _unpack(self) -> bool:
        """One step on; false at the end of the file."""
        self._packed = self._packed or self._file.read(_ZSTD_STEP_BYTES)
        if not self._packed:
            if self._within_frame:
                raise EOFError
            return False
        self._ready = memoryview(self._unpacker.decompress(self._packed))
        self._within_frame, self._packed = True, b""
        if self._unpacker.eof:
            self._packed = self._unpacker.unused_data
            self._unpacker = zstandard.ZstdDecompressor().decompressobj()
            self._within_frame = False
        return True

    def close(self) -> None:
        self._file.close()
        super().close()
