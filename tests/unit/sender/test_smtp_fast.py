"""The fast session does what the plain one does, whatever a server says and however its replies are cut."""

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from sender.drivers.base import Accepted, NotTried, Outbound, Refused, Unknown
from sender.drivers.smtp_fast import FastSession
from sender.drivers.smtp_session import Session
from sender.drivers.smtp_wire import Extensions

OFFERED = Extensions(pipelining=True, chunking=False, eight_bit=True, size=True, max_size=1_000_000)
LARGE = b"x" * 40_000 + b"\r\n"

turns = {
    False: [b"250 2.0.0 taken\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"],
    True: [b"250 2.0.0 taken\r\n", b"250 ok\r\n", b"250 ok\r\n"],
}
odd_lines = st.sampled_from(
    [
        b"250 ok\r\n",
        b"250 ok\n",
        b"250\r\n",
        b"250-two\r\n250 lines\r\n",
        b"250-two\r\n",
        b"252 ok\r\n",
        b"354 go\r\n",
        b"421 4.3.2 bye\r\n",
        b"450 4.2.1 later\r\n",
        b"503 5.5.1 what\r\n",
        b"550 5.1.1 User unknown\r\n",
        b"554 no valid recipients\r\n",
        b"250 " + b"x" * 9_000 + b"\r\n",
        b"what\r\n",
        b"250 a\rb\r\n",
    ]
)


def mail(number, message=b"Subject: x\r\n\r\nhello\r\n"):
    return Outbound(f"{number}", f"r{number}@example.org", "b@example.com", message)


def session_of(kind, chunking):
    ticks = count()
    return kind(OFFERED._replace(chunking=chunking), lambda: float(next(ticks)), turn_seconds=30)


def cut(data, sizes):
    position, turn = 0, 0
    while position < len(data):
        size = sizes[turn % len(sizes)]
        yield data[position : position + size]
        position, turn = position + size, turn + 1


def state(session):
    return (
        session._outcomes,
        session.done,
        session.broken,
        session.misbehaved,
        session.suspect,
        session.carried,
        session.awaits_final_reply,
    )


@st.composite
def servers(draw):
    """What a server says, mostly well-behaved turns with something odd in between, in pieces as they arrive."""
    chunking = draw(st.booleans())
    said = [b"".join(turns[chunking][1:])]
    for _ in range(draw(st.integers(0, 6))):
        lines = list(turns[chunking])
        if draw(st.integers(0, 2)) == 0:
            lines[draw(st.integers(0, len(lines) - 1))] = draw(odd_lines)
        if draw(st.integers(0, 5)) == 0:
            lines.append(draw(odd_lines))
        said.append(b"".join(lines))
    sizes = draw(st.just([100_000]) | st.lists(st.integers(1, 120), min_size=1, max_size=4))
    return chunking, [piece for turn in said for piece in cut(turn, sizes)]


mails = st.lists(
    st.sampled_from([mail(0).message, LARGE, b".dots\r\n.\r\n", b"\xff", b""]), min_size=1, max_size=8
).map(lambda messages: [mail(number, message) for number, message in enumerate(messages)])


@given(servers(), mails, st.sampled_from(["lost", "silent"]))
def test_it_writes_and_decides_what_the_plain_session_does(server, mails, end):
    chunking, pieces = server
    plain, fast = session_of(Session, chunking), session_of(FastSession, chunking)
    assert fast.begin(mails) == plain.begin(mails)
    for piece in pieces:
        if plain.broken:
            break
        assert fast.feed(piece) == plain.feed(piece)
        assert fast.more() == plain.more()
        assert state(fast) == state(plain)
    for session in (plain, fast):
        getattr(session, end)("the end")
    assert state(fast) == state(plain)


@given(st.integers(1, 8), st.booleans(), st.integers(min_value=0), st.lists(st.integers(1, 300), min_size=1))
def test_in_doubt_is_exactly_what_was_written_whole_and_not_answered(several, chunking, breaks_after, sizes):
    envelope = b"".join(turns[chunking][1:])
    said = [envelope, *[turns[chunking][0] + envelope] * (several - 1), turns[chunking][0]]
    left = breaks_after % (len(b"".join(said)) + 1)
    session = session_of(FastSession, chunking)
    written, answered = session.begin([mail(number) for number in range(several)]), 0
    for replies in said:
        heard, left = replies[:left], max(0, left - len(replies))
        answered += heard.count(b"taken\r\n")
        for piece in cut(heard, sizes):
            written += session.feed(piece)
    session.lost("reset by peer")
    on_the_wire = written.count(b"hello\r\n")
    assert on_the_wire - answered in (0, 1)
    expected = [Accepted] * answered + [Unknown] * (on_the_wire - answered)
    expected += [NotTried] * (several - len(expected))
    if not on_the_wire:
        expected[0] = Refused  # the first mail of a fresh session, so that it does not go round for ever
    assert [type(outcome) for outcome in session.outcomes] == expected
