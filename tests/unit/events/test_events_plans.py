import pytest

from events import ids, plans

DIGESTS = [ids.mail_digest("spring", f"{name}@example.org") for name in "abc"]
IDS = [ids.mail_id("spring", f"{name}@example.org") for name in "abc"]


@pytest.fixture
async def planned(memory_bus):
    """A campaign of two batches."""
    blobs = await memory_bus.blobs()
    await blobs.put(plans.blob_name("spring", 1), DIGESTS[0] + DIGESTS[1])
    await blobs.put(plans.blob_name("spring", 2), DIGESTS[2])
    return memory_bus


async def test_a_plan_is_read_batch_by_batch(planned):
    assert [mails async for mails in plans.read(planned, "spring", 2)] == [IDS[:2], IDS[2:]]


async def test_the_ids_of_one_batch_are_read_as_they_lie_there(planned):
    assert await plans.digests(planned, "spring", 1) == DIGESTS[:2]


async def test_a_list_that_is_not_there_is_told(planned):
    with pytest.raises(KeyError, match="spring/plan/3"):
        [mails async for mails in plans.read(planned, "spring", 3)]


async def test_what_is_no_list_is_refused():
    with pytest.raises(ValueError, match="11 bytes"):
        plans.decode(bytes(11))


async def test_a_plan_is_forgotten_once(planned):
    assert await plans.forget(planned, "spring", 2)
    assert not await plans.forget(planned, "spring", 2)
    with pytest.raises(KeyError):
        await (await planned.blobs()).get(plans.blob_name("spring", 2))
