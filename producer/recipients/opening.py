"""Opens audience files, compressed or not, and tells what is wrong with a file in words for whoever exported it."""

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

from events.compression import FrameReader, FrameRefused
from producer.errors import AudienceUnreadable

Compression = Literal["", "gz", "zst"]

_BUFFER_BYTES: Final = 1 << 18


def open_stream(path: Path, compression: Compression) -> BinaryIO:
    """The unpacked bytes of a file, from the beginning. Raises `AudienceUnreadable`."""
    with readable(path):
        match compression:
            case "":
                return path.open("rb", buffering=_BUFFER_BYTES)
            case "gz":
                return io.BufferedReader(cast("io.RawIOBase", gzip.open(path)), _BUFFER_BYTES)
            case "zst":
                return io.BufferedReader(FrameReader(path.open("rb")), _BUFFER_BYTES)


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
    except (gzip.BadGzipFile, zlib.error, FrameRefused) as error:
        raise AudienceUnreadable(f"{path} is damaged: {error}.") from error
    except OSError as error:
        raise AudienceUnreadable(f"{path} cannot be read: {error.strerror or error}.") from error
