"""How a limit of connections is shared by leases."""

from hypothesis import given
from hypothesis import strategies as st

from sender.throttle.connections import LEASE_SECONDS, lease
from sender.throttle.state import EMPTY

NOW = 1_800_000_000.0


def leased(state, now=NOW):
    return {name: held.slots for name, held in state.leases.items() if held.until > now}


def renewed(state, names, *, limit, wanted=20, rounds=6, now=NOW):
    """All of them renew, some times over; each ends at once what it may not go on with."""
    for _ in range(rounds):
        for name in names:
            state, _ = lease(state, name, wanted, 0, limit, now)
    return state


def test_who_is_alone_gets_what_it_wants_up_to_the_limit():
    assert lease(EMPTY, "a", 20, 0, 8, NOW)[1].slots == 8
    assert lease(EMPTY, "a", 3, 0, 8, NOW)[1].slots == 3


def test_who_comes_later_gets_an_equal_part_once_the_others_gave_up_theirs():
    state = renewed(EMPTY, ["a"], limit=9)
    state, share = lease(state, "b", 20, 0, 9, NOW)
    assert share.slots == 0
    state = renewed(state, ["a", "b", "c"], limit=9)
    assert leased(state) == {"a": 3, "b": 3, "c": 3}


def test_connections_in_use_are_not_given_up_before_their_turn_ends():
    state = renewed(EMPTY, ["a"], limit=4)
    state, _ = lease(state, "b", 4, 0, 4, NOW)
    state, share = lease(state, "a", 4, 4, 4, NOW)
    assert share.slots == 2
    assert leased(state) == {"a": 4, "b": 0}


def test_a_dead_sender_loses_its_lease_after_a_few_seconds():
    state = renewed(EMPTY, ["a"], limit=4)
    assert lease(state, "b", 4, 0, 4, NOW + LEASE_SECONDS - 0.1)[1].slots == 0
    assert lease(state, "b", 4, 0, 4, NOW + LEASE_SECONDS)[1].slots == 4


def test_who_needs_none_holds_none():
    state = renewed(EMPTY, ["a"], limit=4)
    state, share = lease(state, "a", 0, 0, 4, NOW)
    assert (share.slots, state.leases) == (0, {})


def test_more_senders_than_connections_take_turns():
    names, state, had = ["a", "b", "c"], EMPTY, set()
    for _ in range(12):
        for name in names:
            state, share = lease(state, name, 5, 0, 2, NOW)
            if share.slots:
                had.add(name)
    assert had == set(names)


def test_a_limit_that_shrinks_is_kept_as_soon_as_turns_end():
    state = renewed(EMPTY, ["a", "b"], limit=10)
    state = renewed(state, ["a", "b"], limit=4)
    assert leased(state) == {"a": 2, "b": 2}


@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.integers(0, 12), st.integers(0, 12), st.floats(0, 5)),
        max_size=60,
    ),
    st.integers(1, 10),
)
def test_no_more_are_used_than_the_limit(steps, limit):
    """Each begins no more than it may, and keeps what it began for as long as it likes, but for its lease."""
    state, now, busy, until = EMPTY, NOW, dict.fromkeys("abcd", 0), dict.fromkeys("abcd", 0.0)
    for name, wanted, ended, later in steps:
        now += later
        for one in busy:
            if until[one] <= now:
                busy[one] = 0  # its lease has lapsed: it died
        busy[name] = max(0, busy[name] - ended)
        state, share = lease(state, name, wanted, busy[name], limit, now)
        busy[name], until[name] = max(busy[name], min(wanted, share.slots)), share.until
        assert sum(busy.values()) <= limit
