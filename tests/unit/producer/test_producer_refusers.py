"""Who does not want to be counted gets mails without a pixel and with plain links, from the next batch on."""

from __future__ import annotations

import email
import email.policy

import msgspec
import producing

from events import preferences, schemas
from events.compression import Decompressor, encode_dictionary
from events.preferences import Preference
from events.schemas import Tracking
from producer.campaign import compiled
from producer.chunk import Presses
from producer.rendering.renderer import compile_campaign
from producer.rendering.tracking import track

BOTH = Tracking(opens=True, clicks=True)


def html_of(message: bytes) -> str:
    return email.message_from_bytes(message, policy=email.policy.default).get_body(("html",)).get_content()


async def test_from_the_next_batch_on_who_refuses_is_not_counted(memory_bus) -> None:
    found = track('<p>{{ name }}</p><a href="https://shop.example/">Shop</a>', BOTH, {})
    campaign = msgspec.structs.replace(producing.COMPILED, html=found.html, links=found.links, tracking=BOTH)
    rows = producing.recipients(2)
    dictionary = encode_dictionary(compile_campaign(campaign, producing.SETTINGS).dictionary(rows[0]))
    blobs = await memory_bus.blobs()
    await blobs.put(compiled.blob_name("autumn"), compiled.encode(campaign))
    await blobs.put(compiled.dictionary_name("autumn"), dictionary)
    presses = Presses(memory_bus, producing.SETTINGS)

    async def pixels() -> list[int]:
        press = await presses.get("autumn")
        chunk = await press.print(rows, 0, len(rows), 1_800_000_000.0)
        unpack = Decompressor(dictionary).decompress
        pages = [html_of(unpack(schemas.decode_mail(mail.payload).body)) for mail in chunk.mails]
        assert all(page.count("/c/autumn.") == page.count("/o/autumn.") for page in pages)
        return [page.count("/o/autumn.") for page in pages]

    assert await pixels() == [1, 1]
    await preferences.say(memory_bus, Preference("Reader1@gmail.com", 1.0))
    assert await pixels() == [1, 0]
    await preferences.say(memory_bus, Preference("reader1@gmail.com", 2.0, tracked=True))
    assert await pixels() == [1, 1]
