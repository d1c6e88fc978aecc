"""A worker and its limits: what is shut waits and costs nothing, what is open goes on."""

import asyncio
import time
from collections import Counter

import pytest
from msgspec.structs import replace
from sender_world import SETTINGS, FakeRelay, World

from events.pace import Pace
from sender.settings import Relay
from sender.throttle.keeper import Keeper
from sender.throttle.lane_gates import HELD_SECONDS
from sender.throttle.limits import Limits
from sender.throttle.state import State, campaign_key, lane_key


@pytest.fixture
async def world():
    made = World(time.time)
    yield made
    await made.stop()


def limited(**fields):
    relay = replace(SETTINGS.pools["main"], **fields)
    return replace(SETTINGS, pools={"main": relay})


def lanes_of(worker):
    return {lane.provider: lane for lane in worker._intake.open}


async def settled(world, number):
    await world.until(lambda: sum(world.relay.took.values()) >= number)


async def left(world, number):
    """How many mails lie in the queue."""
    return await world.left() == number


async def test_a_lane_without_limits_has_no_gate(world):
    await world.set_up(10)
    worker = await world.start(settings=limited(lanes={"gmail": Limits(rate=1_000)}))
    await world.until(lambda: left(world, 0))
    gated = {provider for provider, lane in lanes_of(worker).items() if lane.gates is not None}
    assert gated == {"gmail"}
    assert set(world.relay.took.values()) == {1}


async def test_a_lane_whose_day_is_used_up_waits_and_the_others_go_on(world):
    await world.set_up()
    await world.queue(*[f"g{n}" for n in range(6)], provider="gmail")
    await world.queue(*[f"y{n}" for n in range(6)], provider="yahoo")
    await world.start(settings=limited(lanes={"gmail": Limits(daily=2)}))
    await settled(world, 8)
    await world.until(lambda: left(world, 4))
    stories = await world.stories()
    assert Counter(mail[0] for mail in stories) == {"g": 2, "y": 6}
    assert {tuple(story) for story in stories.values()} == {("accepted",)}
    assert (await world.bus.stream_state("CLAIMS")).messages == 8


async def test_two_senders_share_a_day(world):
    await world.set_up()
    await world.queue(*[f"g{n}" for n in range(30)], provider="gmail")
    for _ in range(2):
        await world.start(settings=limited(limits=Limits(daily=20)))
    await settled(world, 20)
    await asyncio.sleep(0)
    assert sum(world.relay.took.values()) == 20


async def test_a_campaign_goes_as_fast_as_its_rate(world):
    world.campaign = replace(world.campaign, rate=200.0)
    await world.set_up(60)
    began = time.monotonic()
    await world.start()
    await world.until(lambda: left(world, 0))
    assert time.monotonic() - began >= (60 - 50) / 200  # all but a burst of a quarter of a second
    assert set(world.relay.took.values()) == {1}


async def test_what_senders_shared_about_a_campaign_goes_with_it(world):
    world.campaign = replace(world.campaign, rate=1_000.0)
    await world.set_up(5)
    await world.start()
    await world.until(lambda: left(world, 0))
    keeper = Keeper(world.bus)
    assert (await keeper.change(campaign_key("spring"), lambda state: state)).used >= 5
    await world.set_campaign(finished_at=time.time())

    async def gone():
        return await (await world.bus.bucket("throttle")).get(campaign_key("spring")) is None

    await world.until(gone)


@pytest.mark.parametrize("limits", [Limits(), Limits(rate=100), Limits(daily=100)], ids=["free", "rate", "day"])
async def test_a_lane_that_its_provider_paused_waits_in_every_sender(world, limits):
    await world.set_up()
    await Keeper(world.bus).change(
        lane_key("main", "gmail"), lambda _: State(pace=Pace(not_before=time.time() + 3_600))
    )
    worker = await world.start(settings=limited(lanes={"gmail": limits}))
    await world.queue("y1", provider="yahoo")
    await settled(world, 1)
    await world.until(lambda: not worker._intake._is_hungry(lanes_of(worker)["gmail"]))
    await world.queue("g1", provider="gmail")
    await world.queue("y2", provider="yahoo")
    await settled(world, 2)
    assert sorted(world.relay.took) == ["y1", "y2"]
    await Keeper(world.bus).change(lane_key("main", "gmail"), lambda _: State())
    await settled(world, 3)


async def test_a_pool_keeps_to_its_connections_over_all_senders(world):
    await world.set_up(20)
    world.relay.gate = asyncio.Event()
    for _ in range(3):
        await world.start(settings=limited(max_connections=2, limits=Limits(connections=2)))
    await world.until(lambda: len(world.relay.batches) == 2)
    for _ in range(20):
        await asyncio.sleep(0.01)
        assert len(world.relay.batches) == 2
    world.relay.gate.set()
    await world.until(lambda: left(world, 0))


async def test_mails_that_expire_need_no_tokens(world):
    await world.set_up()
    await world.queue("g1", "g2", provider="gmail")
    await world.set_campaign(deadline=time.time() - 1)
    await world.start(settings=limited(lanes={"gmail": Limits(rate=0.001)}))
    await world.until(lambda: left(world, 0))
    assert await world.stories() == {"g1": ["expired"], "g2": ["expired"]}


def test_a_relay_has_no_limits_unless_somebody_sets_some():
    assert Relay().limits == Limits()
    assert Relay().lanes == {}


async def test_claimed_mails_whose_tokens_got_too_old_wait_for_fresh_ones(world):
    await world.set_up(12)
    publish = world.bus.publish

    async def late(stream, messages):
        if stream == "CLAIMS":
            await asyncio.sleep(0.1)  # tokens are good for 68 ms
        return await publish(stream, messages)

    world.bus.publish = late
    await world.start(settings=limited(limits=Limits(rate=100, burst=10)))
    await world.until(lambda: left(world, 0))
    stories = await world.stories()
    assert {tuple(story) for story in stories.values()} == {("accepted",)}
    assert set(world.relay.took.values()) == {1}


async def test_a_lane_whose_day_is_used_up_goes_on_once_there_is_room(world):
    await world.set_up()
    await world.queue(*[f"g{n}" for n in range(5)], provider="gmail")
    worker = await world.start(settings=limited(lanes={"gmail": Limits(daily=2)}))
    await settled(world, 2)
    await world.until(lambda: lanes_of(worker)["gmail"].gates.opens_in() > HELD_SECONDS)
    await Keeper(world.bus).change(lane_key("main", "gmail"), lambda state: replace(state, used=0))
    await settled(world, 4)


async def test_a_sender_that_stops_gives_back_what_it_reserved_and_leased(world):
    await world.set_up()
    world.relay.gate = asyncio.Event()
    await world.queue(*[f"g{n}" for n in range(20)], provider="gmail")
    worker = await world.start(settings=limited(lanes={"gmail": Limits(daily=100, connections=2)}))
    await world.until(lambda: len(world.relay.batches) == 2)
    stopping = asyncio.create_task(worker.stop())
    world.relay.gate.set()
    await stopping
    world.workers.remove(worker)
    state = await Keeper(world.bus).change(lane_key("main", "gmail"), lambda state: state)
    assert (state.used, state.leases) == (sum(world.relay.took.values()), {})
    await world.start(settings=limited(lanes={"gmail": Limits(daily=20)}))
    await world.until(lambda: left(world, 0))


async def test_a_lane_that_comes_back_to_its_pool_keeps_to_its_connections(world):
    two = replace(SETTINGS, pools={"main": Relay(max_connections=3, lanes={"gmail": Limits(connections=1)})})
    two = replace(two, pools=two.pools | {"backup": SETTINGS.pools["main"]})
    world.relays = {"main": FakeRelay(), "backup": FakeRelay()}
    main = world.relays["main"]
    main.gate = asyncio.Event()
    await world.set_up()
    await world.set_campaign(routes={"gmail": ("main", "backup")})
    worker = await world.start(settings=two)
    await world.queue("g1", provider="gmail")
    await world.until(lambda: main.batches)
    gmail = lanes_of(worker)["gmail"]
    worker._router.move(gmail, "backup")
    worker._router.move(gmail, "main")
    await world.queue("g2", provider="gmail")
    await world.until(lambda: gmail.waiting)
    slots = gmail.gates.gates[0].slots
    await world.until(lambda: slots._share.until > world.clock() + 7.5)  # it was asked for more
    assert len(main.batches) == 1
    main.gate.set()
    await world.until(lambda: left(world, 0))
    assert sorted(main.took) == ["g1", "g2"]
