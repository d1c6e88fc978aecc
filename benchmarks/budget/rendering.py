"""The stages that need nobody else: rendering, packing, encoding, and making the mail of it again."""

from __future__ import annotations

import tempfile
from itertools import islice
from pathlib import Path
from typing import Final

from benchmarks.budget.stage import Stage, pure
from benchmarks.e2e import newsletter
from events import ids, schemas, subjects
from events.bus import Message
from events.compression import Compressor, Decompressor, encode_dictionary
from events.schemas import Mail
from producer.recipients import audience
from producer.recipients.recipient import Recipient
from producer.rendering.renderer import Renderer, compile_campaign
from producer.settings import ProducerSettings

SETTINGS: Final = ProducerSettings(link_secret="correct horse battery staple")
MAILS: Final = 5_000


def stages(size: int) -> tuple[list[Stage], list[bytes]]:
    """What each takes, and the mails as they lie in the queue."""
    renderer, rows = _prepare(size)
    dictionary = encode_dictionary(renderer.dictionary(rows[0]))
    compressor, decompressor = Compressor(dictionary), Decompressor(dictionary)
    fillings = [renderer.fill(row)[1] for row in rows]
    frames = list(map(compressor.pack, fillings))
    assert list(map(decompressor.decompress, frames)) == list(map(renderer.message, fillings))
    found = [
        pure("render: what fills in the form", "producer", renderer.fill, rows),
        pure(
            "compress: pack and measure it",
            "producer",
            lambda one: (compressor.pack(one), renderer.size(one)),
            fillings,
        ),
        pure("encode", "producer", message, list(enumerate(frames))),
        pure("assemble: fill in the form", "sender", decompressor.restore, frames),
    ]
    return found, frames


def _prepare(size: int) -> tuple[Renderer, list[Recipient]]:
    with tempfile.TemporaryDirectory(prefix="jetpost-bench-") as folder:
        checked = newsletter.write(Path(folder, "campaign"), MAILS, size, SETTINGS)
        assert checked.launchable is not None
        rows = audience.read(checked.launchable.audience, checked.launchable.projection)
        recipients = list(islice((row for row in rows if isinstance(row, Recipient)), MAILS))
    return compile_campaign(checked.campaign, SETTINGS), recipients


def message(numbered: tuple[int, bytes]) -> Message:
    """A mail as it is queued, from its number and its compressed bytes."""
    number, frame = numbered
    mail = Mail(ids.mail_id("bench", f"{number}"), f"{number}@example.com", 1, 1_800_000_000.0, frame)
    subject = subjects.mail_due("pool", "gmail", "bench")
    return Message(subject, schemas.encode_mail(mail), ids.attempt_id(mail.mail_id, 1))
