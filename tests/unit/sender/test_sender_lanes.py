"""What is held, for how long it is ours, and whose turn it is."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from sender_world import DICTIONARY

from events import schemas
from events.bus import Delivery
from events.compression import Decompressor
from events.schemas import Campaign, Mail
from sender.intake import _renew
from sender.lanes import HOLD_SECONDS, Lane, Lanes

NOW = 1_800_000_000.0
DECOMPRESSOR = Decompressor(DICTIONARY)


def lane(name="c", provider="gmail", status="running", mails=0):
    campaign = Campaign(name, name, status, "main", "b@example.com", NOW)
    made = Lane(campaign, provider, None, DECOMPRESSOR)
    made.receive([delivery(n) for n in range(1, mails + 1)], NOW)
    return made


def delivery(sequence, deliveries=1, handle="first", attempt=1):
    mail = Mail(f"m{sequence}", "a@example.org", attempt, NOW, b"")
    return Delivery(schemas.encode_mail(mail), "", sequence, deliveries, handle)


def lanes(*added, sessions=4, share=0.5):
    made = Lanes(sessions, share, lambda: NOW)
    for one in added:
        made.add(one)
    return made


def test_mails_are_taken_in_the_order_they_came():
    one = lane(mails=3)
    assert [held.mail.mail_id for held in one.take(2, NOW)] == ["m1", "m2"]
    assert len(one.waiting) == 1
    assert len(one.unsettled) == 3


def test_retries_go_before_mails_that_must_wait_for_the_canary():
    one = lane(mails=2)
    one.receive([delivery(3, attempt=2)], NOW)
    one.hold_back_first_tries(True)
    assert not one.is_shut
    one.receive([delivery(4), delivery(5, attempt=3)], NOW)
    assert [held.mail.mail_id for held in one.take_granted(9, NOW, 0)] == ["m3", "m5"]
    assert one.is_shut
    one.hold_back_first_tries(False)
    assert [held.mail.mail_id for held in one.take(9, NOW)] == ["m1", "m2", "m4"]


def test_mails_that_workers_died_with_are_taken_alone():
    one = lane()
    one.receive([delivery(1), delivery(2, deliveries=4), delivery(3, deliveries=4), delivery(4)], since=0)
    taken = [[held.delivery.sequence for held in one.take(10, 1)] for _ in range(4)]
    assert taken == [[1], [2], [3], [4]]


def test_mails_that_workers_died_with_are_taken_in_reverse_the_next_time():
    one = lane()
    one.receive([delivery(n, deliveries=3) for n in range(1, 5)], since=0)
    assert [one.take(10, 1)[0].delivery.sequence for _ in range(4)] == [4, 3, 2, 1]


def test_a_lapsed_hold_is_let_go_instead_of_taken():
    one = lane(mails=2)
    assert one.take(5, NOW + HOLD_SECONDS + 1) == []
    assert not one.unsettled


def test_our_own_mail_delivered_again_is_not_held_twice():
    one = lane(mails=1)
    one.receive([delivery(1, 2, "second")], NOW + 70)
    (held,) = one.take(5, NOW + 70)
    assert (held.delivery.handle, held.delivery.deliveries, held.since) == ("second", 2, NOW + 70)


def test_a_mail_that_a_session_has_is_acknowledged_anew_but_its_lapsed_hold_stays_lapsed():
    one = lane(mails=1)
    (held,) = one.take(5, NOW)
    one.receive([delivery(1, 3, "third")], NOW + 70)
    assert held.delivery.handle == "third"
    assert held.lapsed(NOW + 70)
    assert not one.waiting


def test_an_extension_that_is_confirmed_too_late_does_not_renew_the_hold():
    one = lane(mails=2)
    early, late = one.take(2, NOW)
    _renew([early], NOW + 20, NOW + 21)
    _renew([late], NOW + 54, NOW + HOLD_SECONDS + 1)
    assert (early.since, late.since) == (NOW + 20, NOW)


async def test_lanes_take_turns():
    a, b = lane("a", mails=3), lane("b", mails=3)
    every = lanes(a, b)
    assert [await every.next() for _ in range(4)] == [a, b, a, b]


async def test_a_lane_gets_no_more_than_its_share_while_others_have_work():
    slow, other = lane("slow", mails=9), lane("other", mails=1)
    every = lanes(slow, other)
    first = [await every.next() for _ in range(3)]
    other.take(1, NOW)
    waiting = asyncio.create_task(every.next())
    await asyncio.sleep(0)
    assert (first.count(slow), first.count(other), waiting.done()) == (2, 1, False)
    every.done(slow, slow.moves)
    assert await waiting is slow


async def test_a_lane_that_is_alone_gets_every_session():
    alone = lane(mails=9)
    every = lanes(alone, lane("empty"))
    assert [await every.next() for _ in range(2)] == [alone] * 2
    every.done(alone, alone.moves)
    assert [await every.next() for _ in range(2)] == [alone] * 2
    every.done(alone, alone.moves)
    assert [await every.next() for _ in range(2)] == [alone] * 2
    assert alone.turns == 4


async def test_a_lane_that_is_alone_and_whose_turns_do_not_end_leaves_room_for_who_comes():
    alone = lane(mails=90)
    every = lanes(alone, sessions=20)
    for _ in range(4):
        assert await every.next() is alone
    assert every._choose() is None


async def test_a_lane_that_has_nothing_for_a_moment_keeps_its_part():
    stalled, other = lane("stalled", mails=90), lane("other", mails=1)
    every = lanes(stalled, other, sessions=20, share=1.0)
    other.take(1, NOW)
    for _ in range(4):
        assert await every.next() is stalled
    assert every._choose() is None


async def test_a_lane_whose_turns_do_not_end_leaves_the_sessions_of_the_others_alone():
    stalled, others = lane("stalled", mails=90), [lane(f"other{n}", mails=90) for n in range(4)]
    every = lanes(stalled, *others, sessions=20)
    running = [await every.next() for _ in range(20)]
    for _ in range(60):  # those of the others end, one after the other, and the stalled lane could have each
        ended = next(one for one in running if one is not stalled)
        running.remove(ended)
        every.done(ended, ended.moves)
        running.append(await every.next())
    assert stalled.turns <= 4 + 1


async def test_a_lane_whose_turns_end_grows_to_its_share_where_others_have_little_to_do():
    busy, quiet = lane("busy", mails=90), [lane(f"quiet{n}") for n in range(4)]
    every = lanes(busy, *quiet, sessions=20)
    for one in quiet:
        one.turns = 1
    for _ in range(8):
        while every._choose() is busy:
            await every.next()
        every.done(busy, busy.moves)
    assert busy.turns == 10 - 1


async def test_news_wakes_as_many_as_there_is_work_for():
    one, other = lane("one"), lane("other")
    every = lanes(one, other)
    waiting = [asyncio.create_task(every.next()) for _ in range(3)]
    await asyncio.sleep(0)
    one.receive([delivery(1)], NOW)
    other.receive([delivery(2)], NOW)
    every.notify()
    assert {await waiting[0], await waiting[1]} == {one, other}
    waiting[2].cancel()


async def test_news_for_somebody_who_just_left_goes_to_the_next():
    one = lane()
    every = lanes(one)
    gone, stays = asyncio.create_task(every.next()), asyncio.create_task(every.next())
    await asyncio.sleep(0)
    one.receive([delivery(1)], NOW)
    every.notify()
    gone.cancel()
    assert await stays is one


async def test_a_paused_lane_gets_no_turn():
    paused, other = lane("paused", status="paused", mails=3), lane("other", mails=3)
    every = lanes(paused, other, sessions=20)
    assert [await every.next() for _ in range(3)] == [other] * 3


async def test_turns_end_when_the_lanes_close():
    every = lanes(lane())
    waiting = asyncio.create_task(every.next())
    await asyncio.sleep(0)
    every.close()
    assert await waiting is None
    assert await every.next() is None


async def test_news_wakes_who_waits_for_work():
    one = lane()
    every = lanes(one)
    waiting = asyncio.create_task(every.next())
    await asyncio.sleep(0)
    one.receive([delivery(1)], NOW)
    every.notify()
    assert await waiting is one


def test_a_removed_lane_is_gone():
    one = lane(mails=1)
    every = lanes(one)
    every.remove(one)
    assert every._choose() is None


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["receive", "take", "forget"]), st.integers(1, 6), st.floats(0, 80)), max_size=40
    )
)
def test_a_mail_is_never_taken_twice_while_it_is_held(steps):
    one, taken, now = lane(), {}, NOW
    for step, number, passed in steps:
        now += passed
        match step:
            case "receive":
                one.receive([delivery(number, 2)], now)
            case "take":
                for held in one.take(number, now):
                    assert held.delivery.sequence not in taken
                    assert not held.lapsed(now)
                    taken[held.delivery.sequence] = held
            case "forget":
                for sequence in list(taken)[:number]:
                    one.forget([taken.pop(sequence)])
    assert {held.delivery.sequence for held in one.waiting} | set(taken) == set(one.unsettled)


async def test_sessions_are_at_work_until_their_turns_end_although_their_lane_has_moved_on():
    gmail, yahoo = lane(mails=9), lane(provider="yahoo", mails=9)
    pool = lanes(gmail, yahoo)
    turns = [(one, one.moves) for one in [await pool.next(), await pool.next()]]
    assert [pool.turns_for(provider) for provider in ("gmail", "yahoo", "apple", "")] == [1, 1, 0, 2]
    pool.remove(gmail)
    assert pool.turns_for("gmail") == 1
    for one, moves in turns:
        pool.done(one, moves)
    assert [pool.turns_for(provider) for provider in ("gmail", "yahoo", "")] == [0, 0, 0]
