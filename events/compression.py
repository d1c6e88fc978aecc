"""Compression of what lies on the bus; the only importer of `zstandard`.

A campaign's mails differ from each other in a few words, and its dictionary holds what they share. There are two kinds of frames:

- *Fillings* (`forms`): what fills the blanks of the campaign's form. 10 KB become about 120 bytes in 1 µs, and 10 KB again
  in 2 µs. Only who made the mail from that very form can write them.
- *zstd frames*, with the campaign's first mail as zstd's dictionary, for all other mails: 10 KB become 60 to 300 bytes in 7 µs.

Every frame carries a checksum that tells the dictionary, too: another campaign's would yield a mail with the wrong words.
"""

from __future__ import annotations

import io
import zlib
from typing import BinaryIO, Final

import msgspec
import zstandard

from events.forms import Filler, Filling, Form, whole_line_ends

MAX_CONTENT_BYTES: Final = 32 * 1024 * 1024
"""A frame that claims more is refused before anything is allocated for it; callers may set another limit."""

_MAIL_LEVEL: Final = 3
"""Measured on 11 KB mails with a dictionary, compress and decompress in µs: level 1: 57 bytes, 7.1 and 7.1; level 3: 57 bytes,
4.0 and 1.9; level 5: 56 bytes, 12.4 and 1.8; level 12: 57 bytes, 293 and 1.7."""
_BLOB_LEVEL: Final = 3

_STEP_BYTES: Final = 1 << 15
"""Compressed bytes that a reader unpacks at a time; bounds what one step may yield."""


class FrameRefused(ValueError):
    """These bytes are not what was compressed: damaged, of another dictionary, or larger than any mail or blob may be."""


class Dictionary(msgspec.Struct, frozen=True, array_like=True):
    """What the mails of a campaign share."""

    first_mail: bytes
    form: Form | None = None
    """None: there are no fillings."""


_DICTIONARY_MARK: Final = b"\0jetpost-form\0"
"""What a dictionary with a form begins with; any other is the first mail itself."""
_FILLING_MARK: Final = b"J"
"""What a filling begins with; a zstd frame begins with an opening parenthesis."""
_FILLING_HEAD_BYTES: Final = 5
"""The mark, and a CRC-32 of the rest."""
MAX_FILLING_BYTES: Final = 512
"""Above this zstd is worth its time: long values come more than once. It also bounds what a filling can claim to be."""

_encode = msgspec.msgpack.Encoder().encode
_decode_filling = msgspec.msgpack.Decoder(list[str]).decode
_decode_dictionary = msgspec.msgpack.Decoder(Dictionary).decode


def encode_dictionary(dictionary: Dictionary) -> bytes:
    return dictionary.first_mail if dictionary.form is None else _DICTIONARY_MARK + _encode(dictionary)


def decode_dictionary(data: bytes) -> Dictionary:
    """Raises `msgspec.DecodeError` for what is damaged."""
    if not data.startswith(_DICTIONARY_MARK):
        return Dictionary(data)
    return _decode_dictionary(data[len(_DICTIONARY_MARK) :])


class Compressor:
    """Compresses one mail after the other with a campaign's dictionary. Keeps one context: not for several threads at once."""

    def __init__(self, dictionary: bytes) -> None:
        found = decode_dictionary(dictionary)
        self.form = found.form
        """The form that fillings may be of."""
        self._seed = _seed(found.form)
        self.compress = _compressor(_MAIL_LEVEL, found.first_mail).compress
        """`compress(data) -> frame`; the library's own method, without a call of ours in between."""

    def pack(self, filling: Filling) -> bytes:
        """A frame of the mail that `form` becomes with this filling. Use it up to `MAX_FILLING_BYTES`."""
        packed = _encode(filling)
        return b"J%b%b" % (zlib.crc32(packed, self._seed).to_bytes(4, "little"), packed)


class Decompressor:
    """Restores what a `Compressor` of the same dictionary made. Keeps one context: not for several threads at once."""

    def __init__(self, dictionary: bytes, max_bytes: int = MAX_CONTENT_BYTES) -> None:
        found = decode_dictionary(dictionary)
        self._max_bytes = max_bytes
        self._seed = _seed(found.form)
        self._filler = None if found.form is None else Filler(found.form)
        self._decompress = zstandard.ZstdDecompressor(dict_data=_raw(found.first_mail)).decompress

    def decompress(self, frame: bytes) -> bytes:
        """Raises `FrameRefused`."""
        return self.restore(frame)[0]

    def restore(self, frame: bytes) -> tuple[bytes, bool]:
        """The mail, and whether it is known to be lines with CRLF at the end of each and no other CR or LF anywhere.

        Of zstd frames it is not known: that takes a look at every byte. Raises `FrameRefused`.
        """
        if frame[:1] == _FILLING_MARK:
            return self._unpack(frame)
        _require_acceptable_size(frame, self._max_bytes)
        try:
            return self._decompress(frame, allow_extra_data=False), False
        except zstandard.ZstdError as error:
            raise FrameRefused(f"The frame cannot be decompressed: {error}") from error

    def _unpack(self, frame: bytes) -> tuple[bytes, bool]:
        packed = frame[_FILLING_HEAD_BYTES:]
        filler = self._filler
        if filler is None or len(packed) > MAX_FILLING_BYTES:
            raise FrameRefused("The frame fills in a form, and the dictionary has none, or it is too long for one")
        if zlib.crc32(packed, self._seed) != int.from_bytes(frame[1:_FILLING_HEAD_BYTES], "little"):
            raise FrameRefused("The frame is damaged, or fills in the form of another campaign")
        try:
            filling = _decode_filling(packed)
            text, in_lines = filler.fill_in(filling)
            # MessagePack holds texts as they are: no CR and LF here, none in the values
            has_none = b"\r" not in packed and b"\n" not in packed
            return text.encode(), in_lines and (has_none or whole_line_ends(filling))
        except (ValueError, LookupError, msgspec.DecodeError) as error:
            raise FrameRefused(f"The frame does not fit its form: {error}") from error


class FrameReader(io.RawIOBase):
    """A file of frames, one after the other, as the stream of their contents; memory does not grow with it.

    Unlike the library's own reader it raises `EOFError` where the last frame is cut short, which otherwise looks like the
    end. Raises `FrameRefused` for what is no frame. Closes the file.
    """

    def __init__(self, file: BinaryIO) -> None:
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
        self._packed = self._packed or self._file.read(_STEP_BYTES)
        if not self._packed:
            if self._within_frame:
                raise EOFError("the last zstd frame is cut short")
            return False
        try:
            self._ready = memoryview(self._unpacker.decompress(self._packed))
        except zstandard.ZstdError as error:
            raise FrameRefused(str(error)) from error
        self._within_frame, self._packed = True, b""
        if self._unpacker.eof:
            self._packed = self._unpacker.unused_data
            self._unpacker = zstandard.ZstdDecompressor().decompressobj()
            self._within_frame = False
        return True

    def close(self) -> None:
        self._file.close()
        super().close()


def compress(data: bytes) -> bytes:
    """One frame without a dictionary, for blobs."""
    return _compressor(_BLOB_LEVEL, b"").compress(data)


def decompress(frame: bytes, max_bytes: int = MAX_CONTENT_BYTES) -> bytes:
    """What `compress` was given, unless it is larger than `max_bytes`. Raises `FrameRefused`."""
    return Decompressor(b"", max_bytes).decompress(frame)


def _seed(form: Form | None) -> int:
    return 0 if form is None else zlib.crc32(_encode(form))


def _compressor(level: int, dictionary: bytes) -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(
        level=level,
        dict_data=_raw(dictionary),
        write_checksum=True,
        write_content_size=True,
    )


def _raw(dictionary: bytes) -> zstandard.ZstdCompressionDict | None:
    if not dictionary:
        return None
    return zstandard.ZstdCompressionDict(dictionary, dict_type=zstandard.DICT_TYPE_RAWCONTENT)


def _require_acceptable_size(frame: bytes, max_bytes: int) -> None:
    try:
        size = zstandard.frame_content_size(frame)
    except zstandard.ZstdError as error:
        raise FrameRefused("This is not a zstd frame") from error
    if not 0 <= size <= max_bytes:
        raise FrameRefused(f"The frame claims {size} bytes; at most {max_bytes} are accepted")
