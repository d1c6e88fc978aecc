import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import routes, schemas, streams
from events.campaigns import CampaignNotFound, WrongStatus
from events.memory_bus import MemoryBus
from events.schemas import Campaign

SPRING = Campaign("spring", "Spring", "running", "main", "", 0.0, routes={"yahoo": ("slow",)})


def test_without_a_route_a_provider_has_the_campaigns_pool():
    assert SPRING.pools_for("gmail") == ("main",)
    assert SPRING.pools_for("yahoo") == ("slow",)


@pytest.mark.parametrize(
    ("route", "able", "chosen"),
    [
        (("a", "b"), "ab", "a"),
        (("a", "b"), "b", "b"),
        (("a", "b", "c"), "c", "c"),
        (("a", "b"), "", "a"),
    ],
)
def test_the_first_that_can_is_chosen_and_where_none_can_the_preferred_waits(route, able, chosen):
    assert routes.choose(route, lambda pool: pool in able) == chosen


@given(st.permutations("abcd"), st.sets(st.sampled_from("abcd")))
def test_no_pool_that_cannot_is_chosen_before_one_that_can(route, able):
    chosen = routes.choose(route, lambda pool: pool in able)
    assert chosen in able or (not able and chosen == route[0])
    assert not [pool for pool in route[: route.index(chosen)] if pool in able]


def test_only_what_is_named_changes():
    changed = routes.rerouted(SPRING, {"gmail": ("main", "backup")})
    assert changed.routes == {"yahoo": ("slow",), "gmail": ("main", "backup")}


@pytest.mark.parametrize("status", ["finished", "cancelled"])
def test_what_has_ended_is_not_routed(status):
    with pytest.raises(WrongStatus, match=status):
        routes.rerouted(Campaign("spring", "Spring", status, "main", "", 0.0), {"gmail": ("backup",)})


async def test_the_change_is_stored():
    bus = MemoryBus()
    await bus.setup()
    await (await bus.bucket(streams.CAMPAIGNS)).put("spring", schemas.encode_campaign(SPRING))
    await routes.change(bus, "spring", {"gmail": ("backup",)})
    entry = await (await bus.bucket(streams.CAMPAIGNS)).get("spring")
    assert entry is not None
    assert schemas.decode_campaign(entry.value).pools_for("gmail") == ("backup",)
    with pytest.raises(CampaignNotFound):
        await routes.change(bus, "autumn", {"gmail": ("backup",)})
