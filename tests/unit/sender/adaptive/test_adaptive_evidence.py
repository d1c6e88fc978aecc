"""What a turn's outcomes say of a lane's speed, and which of them say nothing."""

from sender.adaptive import evidence
from sender.drivers.base import Accepted, NotTried, Refused, Reply, Unknown

OK = Accepted(Reply(250, "2.0.0", "ok"), 0.0)
SLOW_DOWN = Refused("throttled", "rate", Reply(421, "4.7.28", "unusual rate"), 60.0)
TOO_MANY = Refused("throttled", "connections", Reply(421, "4.7.0", "too many concurrent sessions"))
BUSY = Refused("transient", "temporary", Reply(451, "4.3.2", "try later"))


def test_counts_what_was_tried_and_what_was_put_off():
    found = evidence.of([OK, OK, SLOW_DOWN, BUSY, NotTried("gone"), Unknown("gone")])
    assert (found.tried, found.accepted, found.put_off) == (4, 2, 2)
    assert found.throttled is SLOW_DOWN.reply
    assert found.deferred is BUSY.reply


def test_takes_the_longest_hint():
    longer = SLOW_DOWN._replace(retry_after_seconds=90.0)
    assert evidence.of([SLOW_DOWN, longer, SLOW_DOWN]).hint_seconds == 90.0


def test_too_many_connections_say_nothing_of_the_rate():
    found = evidence.of([TOO_MANY])
    assert found.connections is TOO_MANY.reply
    assert found.throttled is None


def test_a_mailbox_that_gets_too_much_says_nothing_of_the_lane():
    found = evidence.of([Refused("throttled", "recipient_rate", Reply(450, "4.2.1", "receiving too quickly"), 60.0)])
    assert (found.tried, found.put_off, found.throttled, found.hint_seconds) == (1, 0, None, 0.0)


def test_greylisting_is_no_deferral_and_its_hint_pauses_nobody():
    found = evidence.of([Refused("transient", "temporary", Reply(451, "4.7.1", "Greylisted, try in 300 s"), 300.0)])
    assert (found.put_off, found.deferred, found.hint_seconds) == (0, None, 0.0)


def test_a_broken_connection_is_no_deferral():
    assert evidence.of([Refused("transient", "connection_lost", Reply(0, "", "gone"))]).put_off == 0


def test_bounces_say_nothing_of_the_speed():
    found = evidence.of([Refused("hard", "unknown_recipient", Reply(550, "5.1.1", "no such user"))])
    assert (found.tried, found.accepted, found.put_off) == (1, 0, 0)
