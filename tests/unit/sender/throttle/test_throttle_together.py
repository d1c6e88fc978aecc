"""Whatever senders do, in whatever order, no second has more mails than the limit and its burst.

Each sender has a clock of its own, and spends all it can get at the worst moments: it may stall between any two steps, hoard,
die, or spend what it took at the last moment.
"""

from bisect import bisect_left
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sender.throttle.limits import Limits, effective
from sender.throttle.reservation import Grant, reserve
from sender.throttle.state import EMPTY
from sender.throttle.tokens import Taken, Tokens

NOON = 1_800_014_400.0
SENDERS = 4
LIMITS = [
    Limits(rate=0.5),
    Limits(rate=3, burst=2),
    Limits(rate=20, burst=2),
    Limits(rate=100, burst=10),
    Limits(rate=100),
    Limits(rate=100, burst=250),
    Limits(rate=2_000, burst=200),
]


class Sender:
    def __init__(self, clock_error):
        self.clock_error = clock_error
        self.tokens = Tokens()
        self.taken = []

    def now(self, world):
        return world.now + self.clock_error


class World:
    def __init__(self, limits, clock_errors):
        self.limits = effective(limits, EMPTY, NOON)
        self.state = EMPTY
        self.now = NOON
        self.errors = [share * self.limits.late_seconds / 4 for share in clock_errors]
        """What half of the burst is for, half of it."""
        self.senders = [Sender(error) for error in self.errors]
        self.spent = []

    def reserve(self, sender, number):
        self.state, answer = reserve(self.state, self.limits, number, sender.now(self))
        if isinstance(answer, Grant):
            sender.tokens.add(answer)

    def take(self, sender, number):
        taken = Taken(sender.tokens.take(number, sender.now(self)))
        if taken.number:
            sender.taken.append(taken)

    def spend(self, sender, _):
        for taken in sender.taken:
            if taken.good_until() >= sender.now(self):
                self.spent += [self.now] * taken.number
        sender.taken = []

    def give_up(self, sender, _):
        for taken in sender.taken:
            sender.tokens.put_back(taken.grants)
        sender.taken = []

    def die(self, sender, _):
        """And another one comes, whose clock is as wrong."""
        self.senders[self.senders.index(sender)] = Sender(sender.clock_error)

    def most_in_a_second(self):
        return max((at - bisect_left(self.spent, time - 1.0) + 1 for at, time in enumerate(self.spent)), default=0)


ACTIONS = ["reserve", "reserve", "reserve", "take", "take", "spend", "spend", "give_up", "die"]
STEPS = st.lists(
    st.tuples(
        st.integers(0, SENDERS - 1),
        st.sampled_from(ACTIONS),
        st.integers(1, 400),
        st.one_of(st.just(0.0), st.floats(0, 0.03), st.floats(0, 0.6)),
    ),
    min_size=20,
    max_size=300,
)


@pytest.mark.parametrize("limits", LIMITS, ids=lambda limits: f"{limits.rate:g}-{limits.burst or 0:g}")
@settings(max_examples=40)
@given(STEPS, st.lists(st.floats(-1, 1), min_size=SENDERS, max_size=SENDERS))
def test_no_second_has_more_than_the_limit_and_its_burst(limits, steps, clock_errors):
    world = World(limits, clock_errors)
    for number, action, amount, pause in steps:
        getattr(world, action)(world.senders[number], amount)
        world.now += pause
    assert world.most_in_a_second() <= limits.rate + world.limits.burst


@pytest.mark.parametrize("limits", LIMITS, ids=lambda limits: f"{limits.rate:g}-{limits.burst or 0:g}")
@settings(max_examples=12)
@given(st.integers(0, 2**32))
def test_senders_that_hoard_all_they_can_and_then_spend_it_stay_within_it_too(limits, seed):
    random = Random(seed)
    world = World(limits, [random.choice([-1, 1, 0]) for _ in range(SENDERS)])
    hoards_until = NOON + random.uniform(1, 2) * max(1, 4 / limits.rate)
    while world.now < hoards_until + 1.5:
        for sender in random.sample(world.senders, SENDERS):
            world.reserve(sender, 400)
            world.take(sender, 400)
            if world.now >= hoards_until:
                world.spend(sender, 0)
        world.now += 0.005
    assert world.most_in_a_second() <= limits.rate + world.limits.burst
    assert world.most_in_a_second() >= limits.rate
