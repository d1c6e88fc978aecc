"""Where links lead, for whoever serves clicks."""

from events import links, schemas, streams
from events.schemas import Campaign, Tracking

TABLE = links.encode(("https://shop.example/",))


async def register(bus, name, *, clicks=True):
    campaign = Campaign(name, name, "running", "main", "b@example.com", 1.0, tracking=Tracking(clicks=clicks))
    await (await bus.bucket(streams.CAMPAIGNS)).put(name, schemas.encode_campaign(campaign))


async def test_tables_of_the_release_before_are_copied_and_newer_ones_stay(memory_bus):
    before, now = await memory_bus.blobs(), await memory_bus.blobs(streams.LINKS)
    for name in ("earlier", "newer", "untracked", "lost"):
        await register(memory_bus, name, clicks=name != "untracked")
    for name in ("earlier", "newer", "untracked"):
        await before.put(links.blob_name(name), TABLE)
    await now.put(links.blob_name("newer"), b"newer")
    for _ in range(2):
        await links.carry_over(memory_bus)
    assert now._data == {"earlier/links": TABLE, "newer/links": b"newer"}
    assert len(before._data) == 3
