"""How much the simulated providers bear, and what they say beyond it."""

from itertools import pairwise

import msgspec
import pytest

from events import classification, replies
from events.providers import PROVIDERS
from jetpost.simulator import profiles
from jetpost.simulator.counts import Counts
from jetpost.simulator.fast import FastSession
from jetpost.simulator.profiles import Guard, Profile
from jetpost.simulator.session import Next
from jetpost.simulator.settings import SimulatorSettings
from jetpost.simulator.world import World

MESSAGE = b"Message-ID: <abcdefghijklmnop.c@example.com>\r\nSubject: x\r\n\r\nhello\r\n.\r\n"


class Clock:
    now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def start(tmp_path, clock):
    """A function that starts one more session in the same world; `world` is on the function."""
    world = World(SimulatorSettings(state_dir=tmp_path), Counts(tmp_path), clock)

    def start():
        session = FastSession(world)
        session.receive(b"EHLO test\r\n")
        return session

    start.world = world
    yield start
    world.counts.close()


def begin(session, recipient="ada@gmail.com"):
    return session.receive(f"MAIL FROM:<b@example.com>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n".encode())


def send(session, recipient="ada@gmail.com"):
    turn = begin(session, recipient)
    return session.receive(MESSAGE) if b"354" in turn.replies else turn


def test_by_default_providers_bear_anything(start):
    session = start()
    assert all(b"250 2.0.0" in send(session).replies for _ in range(1_000))


def test_more_than_rate_and_burst_is_refused_and_the_connection_closed(start, clock):
    start.world.set_profiles({"gmail": Profile(rate=10, burst=3)})
    session = start()
    assert all(b"250 2.0.0" in send(session).replies for _ in range(3))
    refused = send(session)
    assert b"421 4.7.28" in refused.replies
    assert refused.next is Next.CLOSE
    clock.now += 0.1
    assert b"250 2.0.0" in send(start()).replies
    assert start.world.counts.refused == {"too-fast": 1}


def test_a_provider_s_limit_is_not_that_of_another(start):
    start.world.set_profiles({"gmail": Profile(rate=1, burst=1)})
    session = start()
    send(session)
    assert all(b"250 2.0.0" in send(session, "ada@yahoo.com").replies for _ in range(10))


def test_one_connection_too_many_is_refused_until_another_s_mail_is_through(start):
    start.world.set_profiles({"gmail": Profile(rate=100, burst=100, connections=1)})
    first, second = start(), start()
    begin(first)
    assert b"421 4.7.0 Too many" in begin(second).replies
    first.receive(MESSAGE)
    assert b"250 2.0.0" in send(start()).replies


def test_a_connection_that_is_gone_counts_no_more(start):
    start.world.set_profiles({"gmail": Profile(rate=100, burst=100, connections=1)})
    first = start()
    begin(first)
    first.closed()
    assert b"250 2.0.0" in send(start()).replies


def test_after_its_mails_a_connection_closes_without_a_word(start):
    start.world.set_profiles({"yahoo": Profile(rate=100, burst=100, mails_per_connection=2)})
    session = start()
    assert send(session, "ada@yahoo.com").next is Next.GO_ON
    last = send(session, "ada@yahoo.com")
    assert (last.replies, last.next) == (b"250 2.0.0 Ok: taken\r\n", Next.CLOSE)


def test_who_does_not_listen_is_refused_everything_for_longer_each_time():
    guard, now, ends = Guard(Profile(rate=10, burst=10, tolerance=20, penalty_seconds=60), 0.0), 0.0, []
    for _ in range(30_000):  # 100 mails/s, whatever is said
        now += 0.01
        seconds = guard.refuses(now)
        end = now + seconds
        if seconds > 1 and (not ends or end > ends[-1] + 1):
            ends.append(end)
    assert [round(later - earlier) for earlier, later in pairwise(ends)] == [120, 240]


def test_who_waits_is_forgiven():
    guard, now = Guard(Profile(rate=10, burst=1, tolerance=5, penalty_seconds=60), 0.0), 0.0
    while guard.refuses(now) < 1:
        now += 0.01
    now += 60.0
    assert guard.refuses(now) == 0
    now += 1_000.0
    while (seconds := guard.refuses(now)) < 1:
        now += 0.01
    assert seconds == 60


def test_who_keeps_to_the_rate_is_never_refused():
    guard = Guard(Profile(rate=10, burst=2), 0.0)
    assert not any(guard.refuses(number / 9.99) for number in range(10_000))


def test_faster_time_makes_the_same_story_shorter():
    fast = profiles.faster(profiles.USUAL["gmail"], 10)
    assert (fast.rate, fast.penalty_seconds, fast.connections) == (500, 6, 5)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_providers_say_is_understood(provider):
    too_fast = classification.classify(replies.parse(profiles.too_fast(provider, 7.0).decode()), provider)
    too_many = classification.classify(replies.parse(profiles.too_many_connections(provider).decode()), provider)
    assert too_fast.failure_class == too_many.failure_class == "throttled"
    assert too_many.reason == "connections"
    assert too_fast.reason not in {"connections", "recipient_rate"}
    assert too_fast.retry_after_seconds == (7.0 if provider == "other" else None)


def test_profiles_are_chosen_by_name_or_told():
    assert profiles.chosen("") == {}
    assert profiles.chosen("usual") == profiles.USUAL
    assert profiles.chosen('{"gmail": {"rate": 5, "burst": 1}}') == {"gmail": Profile(rate=5, burst=1)}
    with pytest.raises(msgspec.ValidationError, match="rate above 0"):
        profiles.chosen('{"gmail": {"rate": 0, "burst": 1}}')
