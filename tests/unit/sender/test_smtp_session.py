"""The pipelined session, without a network: what it writes, and the outcome of every mail whatever the server does.

The property tests talk to the mailbox simulator's session, cut both streams of bytes anywhere and break them off anywhere;
what the simulator counted is the truth that the outcomes are held against.
"""

import tempfile
from collections import Counter
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetpost.simulator import session as simulator
from jetpost.simulator.counts import Counts, read_ids
from jetpost.simulator.fast import FastSession as FastSimulator
from jetpost.simulator.settings import Faults, SimulatorSettings
from jetpost.simulator.world import World
from sender.drivers.base import Accepted, NotTried, Outbound, Refused, Unknown
from sender.drivers.smtp_fast import FastSession
from sender.drivers.smtp_session import Session
from sender.drivers.smtp_wire import Extensions

OFFERED = Extensions(pipelining=True, eight_bit=True)
MESSAGE = b"Subject: x\r\n\r\nhello\r\n"
GO = b"250 ok\r\n250 ok\r\n354 go\r\n"
TAKEN = b"250 2.0.0 taken\r\n"


def mail(number=0, recipient=None, message=MESSAGE):
    return Outbound(f"{number}", recipient or f"r{number}@example.org", "b@example.com", message)


def envelope(number=0):
    return b"MAIL FROM:<b@example.com>\r\nRCPT TO:<r%d@example.org>\r\nDATA\r\n" % number


CHUNKING = OFFERED._replace(chunking=True)
GO_CHUNKS = b"250 ok\r\n250 ok\r\n"


def new_session(extensions=OFFERED, kind=Session, **more):
    return kind(extensions, lambda: 1_000.0, **more)


def kinds(session):
    return [type(outcome) for outcome in session.outcomes]


def used_session():
    session = new_session()
    session.begin([mail()])
    session.feed(GO)
    session.feed(TAKEN)
    return session


# what is written


def test_the_next_envelope_rides_with_the_final_dot():
    session = new_session()
    assert session.begin([mail(0), mail(1)]) == envelope(0)
    assert session.feed(GO) == MESSAGE + b".\r\n" + envelope(1)
    assert session.feed(TAKEN + GO) == MESSAGE + b".\r\n"
    assert session.feed(TAKEN) == b""
    assert kinds(session) == [Accepted, Accepted]


def test_a_refused_recipient_is_cleared_away_before_the_next_mail():
    session = new_session()
    session.begin([mail(0), mail(1)])
    assert session.feed(b"250 ok\r\n550 5.1.1 User unknown\r\n554 no valid recipients\r\n") == b"RSET\r\n" + envelope(1)
    assert session.feed(b"250 reset\r\n" + GO) == MESSAGE + b".\r\n"
    session.feed(TAKEN)
    assert kinds(session) == [Refused, Accepted]
    assert session.outcomes[0].failure_class == "hard"


def test_a_refused_sender_leaves_nothing_to_clear_away():
    session = new_session()
    session.begin([mail(0), mail(1)])
    assert session.feed(b"451 4.7.1 not now\r\n503 no\r\n503 no\r\n") == envelope(1)


def test_a_354_that_nobody_wanted_gets_a_lone_dot():
    session = new_session()
    session.begin([mail(0), mail(1)])
    assert session.feed(b"250 ok\r\n550 5.1.1 User unknown\r\n354 go\r\n") == b".\r\n" + envelope(1)
    assert session.feed(b"554 no valid recipients\r\n" + GO) == MESSAGE + b".\r\n"


def test_the_last_refusal_of_a_batch_is_cleared_away_by_the_next_batch():
    session = new_session()
    session.begin([mail(0)])
    assert session.feed(b"250 ok\r\n450 later\r\n554 no\r\n") == b""
    assert session.done
    assert session.begin([mail(1)]) == b"RSET\r\n" + envelope(1)


def test_a_refused_data_command_refuses_the_mail():
    session = new_session()
    session.begin([mail(0)])
    session.feed(b"250 ok\r\n250 ok\r\n451 4.3.0 try later\r\n")
    assert kinds(session) == [Refused]


def test_mails_that_the_server_cannot_take_are_skipped():
    session = new_session()
    written = session.begin([mail(0, recipient="é@example.org"), mail(1), mail(2, recipient="ü@example.org")])
    assert written == envelope(1)
    assert session.feed(GO) == MESSAGE + b".\r\n"
    session.feed(TAKEN)
    assert kinds(session) == [Refused, Accepted, Refused]
    assert session.outcomes[0].reason == "smtputf8_not_offered"


def test_a_large_message_gets_its_end_only_when_the_rest_has_left():
    large = b"x" * 40_000 + b"\r\n"
    session = new_session()
    session.begin([mail(0, message=large), mail(1)])
    assert session.feed(GO) == large[:-2]
    assert not session.done
    assert session.more() == b"\r\n.\r\n" + envelope(1)
    assert session.more() == b""


def test_with_chunking_bdat_takes_the_place_of_data_and_dot():
    session = new_session(CHUNKING)
    envelopes = [envelope(number).removesuffix(b"DATA\r\n") for number in range(3)]
    assert session.begin([mail(0), mail(1), mail(2)]) == envelopes[0]
    assert session.feed(GO_CHUNKS) == b"BDAT 21 LAST\r\n" + MESSAGE + envelopes[1]
    refused = TAKEN + b"250 ok\r\n550 5.1.1 User unknown\r\n"
    assert session.feed(refused) == b"RSET\r\n" + envelopes[2]
    assert session.feed(b"250 ok\r\n" + GO_CHUNKS) == b"BDAT 21 LAST\r\n" + MESSAGE
    session.feed(TAKEN)
    assert kinds(session) == [Accepted, Refused, Accepted]


def test_with_chunking_a_large_message_keeps_its_last_bytes_back_too():
    session = new_session(CHUNKING)
    session.begin([mail(0, message=b"." * 40_000 + b"\r\n")])
    assert session.feed(GO_CHUNKS) == b"BDAT 40002 LAST\r\n" + b"." * 40_000
    assert session.more() == b"\r\n"


def test_a_server_that_does_not_know_its_own_chunking_is_noticed():
    session = new_session(CHUNKING)
    session.begin([mail(0), mail(1)])
    session.feed(GO_CHUNKS)
    session.feed(b"500 what\r\n")
    assert session.misbehaved
    assert kinds(session) == [NotTried, NotTried]


def test_when_the_turn_is_over_no_further_mail_is_begun():
    ticks = count(0, 10)
    session = Session(OFFERED, lambda: float(next(ticks)), turn_seconds=25)
    session.begin([mail(0), mail(1), mail(2), mail(3)])
    while not session.done:
        session.feed(TAKEN + GO if session.awaits_final_reply else GO)
        if session.awaits_final_reply and len(session._expected) == 1:
            session.feed(TAKEN)
    assert kinds(session)[0] is Accepted
    assert kinds(session)[-1] is NotTried


# what is known after a break


def test_only_what_was_wholly_on_the_wire_is_in_doubt():
    session = new_session()
    session.begin([mail(0), mail(1), mail(2)])
    session.feed(GO)
    session.feed(TAKEN + GO)
    session.lost("reset by peer")
    assert kinds(session) == [Accepted, Unknown, NotTried]


def test_a_large_message_without_its_dot_is_not_in_doubt():
    session = used_session()
    session.begin([mail(0, message=b"x" * 40_000)])
    session.feed(GO)
    session.lost("reset by peer")
    assert kinds(session) == [NotTried]


def test_a_refusal_in_the_middle_of_a_large_message_is_its_answer():
    session = used_session()
    session.begin([mail(0, message=b"x" * 40_000), mail(1)])
    session.feed(GO)
    session.feed(b"552 5.3.4 Message too large\r\n")
    assert kinds(session) == [Refused, NotTried]
    assert session.broken
    assert not session.misbehaved


def test_a_fresh_session_that_breaks_settles_its_first_mail_so_that_nothing_goes_round_for_ever():
    session = new_session()
    session.begin([mail(0), mail(1)])
    session.lost("closed")
    assert kinds(session) == [Refused, NotTried]
    assert session.outcomes[0].failure_class == "transient"


def test_a_used_session_that_breaks_at_once_blames_no_mail():
    session = used_session()
    session.begin([mail(0), mail(1)])
    session.lost("closed")
    assert kinds(session) == [NotTried, NotTried]


def test_a_broken_session_tries_nothing():
    session = used_session()
    session.lost("closed")
    assert session.begin([mail()]) == b""
    assert session.done
    assert kinds(session) == [NotTried]


# 421 anywhere


@pytest.mark.parametrize(
    ("fed", "outcomes"),
    [
        ([b"421 4.3.2 bye\r\n"], [NotTried, NotTried]),
        ([b"250 ok\r\n421 4.7.28 rate\r\n"], [Refused, NotTried]),
        ([b"250 ok\r\n250 ok\r\n421 4.3.2 bye\r\n"], [Refused, NotTried]),
        ([b"250 ok\r\n550 5.1.1 User unknown\r\n421 too many errors\r\n"], [Refused, NotTried]),
        ([GO, b"421 4.3.2 bye\r\n"], [Refused, NotTried]),
        ([GO, TAKEN + b"421 4.3.2 bye\r\n"], [Accepted, NotTried]),
        ([GO + b"421 4.3.2 bye\r\n"], [NotTried, NotTried]),
        ([GO, TAKEN + GO, TAKEN + b"421 4.3.2 bye\r\n"], [Accepted, Accepted]),
    ],
)
def test_421_answers_the_mail_that_it_comes_to(fed, outcomes):
    session = used_session()
    session.begin([mail(0), mail(1)])
    for data in fed:
        session.feed(data)
    assert session.broken
    assert not session.misbehaved
    assert kinds(session) == outcomes


def test_a_refused_recipient_keeps_its_reason_when_421_follows():
    session = used_session()
    session.begin([mail(0)])
    session.feed(b"250 ok\r\n550 5.1.1 User unknown\r\n421 too many errors\r\n")
    assert session.outcomes[0].failure_class == "hard"


def test_421_to_the_first_mail_of_a_fresh_session_is_its_answer():
    session = new_session()
    session.begin([mail(0), mail(1)])
    session.feed(b"421 4.7.0 come back later\r\n")
    assert kinds(session) == [Refused, NotTried]


def test_421_while_nothing_is_asked_ends_the_session():
    session = used_session()
    session.feed(b"421 4.4.2 idle for too long\r\n")
    assert session.broken
    assert not session.misbehaved


# sessions that may carry no more

USED_UP = b"452 4.5.3 Too many messages sent\r\n503 no sender\r\n503 no sender\r\n"


@pytest.mark.parametrize("batches", [[[mail(0), mail(1), mail(2)]], [[mail(0)], [mail(1), mail(2)]]])
def test_a_session_that_carried_too_many_ends_and_the_rest_goes_to_the_next(batches):
    session = new_session()
    session.begin(batches[0])
    session.feed(GO)
    session.feed(TAKEN)
    if len(batches) > 1:
        session.begin(batches[1])
    session.feed(USED_UP)
    assert session.broken
    assert not session.misbehaved
    assert kinds(session)[-2:] == [NotTried, NotTried]


def test_too_many_messages_on_a_session_that_took_none_is_a_refusal():
    session = new_session()
    session.begin([mail(0), mail(1)])
    session.feed(USED_UP)
    session.feed(USED_UP)
    assert [outcome.failure_class for outcome in session.outcomes] == ["throttled", "throttled"]
    assert not session.broken


# servers that cannot pipeline


@pytest.mark.parametrize(
    "fed",
    [
        [b"250 ok\r\n503 bad sequence\r\n503 bad sequence\r\n"],
        [b"250 ok\r\n250 ok\r\n503 bad sequence\r\n"],
        [b"503 bad sequence\r\n"],
        [b"250 ok\r\n250 ok\r\n250 what\r\n"],
        [b"354 what\r\n"],
        [GO + b"250 surplus\r\n"],
    ],
)
def test_a_server_that_loses_its_place_is_noticed_before_a_message_is_sent(fed):
    session = new_session()
    session.begin([mail(0), mail(1)])
    assert b"".join(session.feed(data) for data in fed) == b""
    assert session.misbehaved
    assert kinds(session) == [NotTried, NotTried]


def test_a_surplus_reply_after_the_last_mail_spares_its_outcome():
    session = new_session()
    session.begin([mail(0)])
    session.feed(GO)
    session.feed(TAKEN + b"250 surplus\r\n")
    assert kinds(session) == [Accepted]
    assert session.misbehaved


def test_silence_in_the_middle_of_a_pipeline_is_suspect():
    session = used_session()
    session.begin([mail(0)])
    session.feed(b"250 ok\r\n")
    session.silent("no reply within 20 s")
    assert session.suspect


def test_plain_silence_is_not_suspect():
    session = used_session()
    session.begin([mail(0)])
    session.silent("no reply within 20 s")
    assert not session.suspect


def test_garbage_instead_of_the_final_reply_leaves_a_doubt():
    session = used_session()
    session.begin([mail(0), mail(1)])
    session.feed(GO)
    session.feed(b"\x16\x03 what\r\n")
    assert kinds(session) == [Unknown, NotTried]


@given(
    st.lists(st.sampled_from([b"250 ok\r\n", b"354 go\r\n", b"421 bye\r\n", b"550 no\r\n", b"503 ?\r\n", b"what\r\n"])),
    st.integers(1, 4),
)
def test_whatever_a_server_says_every_mail_has_one_outcome_in_the_end(lines, mails):
    session = new_session()
    session.begin([mail(number) for number in range(mails)])
    for line in lines:
        session.feed(line)
        session.more()
    session.lost("the end")
    assert session.done
    assert len(session.outcomes) == mails
    assert kinds(session).count(Unknown) <= 1


# against the simulator, over a bad network

TAGS = ["", "", "", "+slow", "+greylist", "+full", "+unknown", "+tempfail", "+blocked", "+throttled", "+drop"]
TAGS += ["+drop-before", "+drop-accepted"]
SETTLED = {
    "": Accepted,
    "+slow": Accepted,
    "+greylist": "transient",
    "+full": "soft",
    "+unknown": "hard",
    "+tempfail": "transient",
    "+blocked": "block",
    "+throttled": "throttled",
}


def mail_id(number):
    return "abcdefgh"[number] * 16


def message(number):
    return b"Message-ID: <%s.c@x>\r\n\r\n.%s\r\n" % (mail_id(number).encode(), b"x" * 50 * number)


NO_FAULTS = Faults()


class Line:
    """Two streams of bytes between a session and a simulator, cut anywhere, and broken after so many bytes."""

    def __init__(
        self,
        recipients,
        *,
        sizes=(1_000_000,),
        breaks_after=None,
        domain="example.org",
        faults=NO_FAULTS,
        chunking=False,
        fast=False,
    ):
        self.folder = tempfile.TemporaryDirectory(prefix="jetpost-test-")
        settings = SimulatorSettings(state_dir=Path(self.folder.name), faults=faults)
        self.counts = Counts(settings.state_dir)
        server, client = (FastSimulator, FastSession) if fast else (simulator.Session, Session)
        self.server = server(World(settings, self.counts, lambda: 0.0))
        self.server.receive(b"EHLO test\r\n")
        self.sizes = sizes
        self.left = breaks_after
        self.client = new_session(CHUNKING if chunking else OFFERED, client)
        self.mails = [
            Outbound(mail_id(number), f"r{number}{tag}@{domain}", "b@example.com", message(number))
            for number, tag in enumerate(recipients)
        ]

    def run(self):
        to_server = self.client.begin(self.mails)
        while to_server and not self.client.broken:
            replies, ended = b"", False
            for piece in self.pieces(to_server):
                turn = self.server.receive(piece)
                replies += turn.replies
                if turn.next is simulator.Next.WAIT:
                    turn = self.server.receive(b"")
                    replies += turn.replies
                if turn.next in (simulator.Next.CLOSE, simulator.Next.HANG):
                    ended = True
                    break
            to_server = b""
            for piece in self.pieces(replies):
                to_server += self.client.feed(piece)
            if ended or self.left == 0:
                self.client.lost("broken")
        self.client.lost("the end")
        self.counts.close()
        taken = Counter(read_ids(self.counts.path))
        self.folder.cleanup()
        return [
            (outcome, taken[mail.mail_id.encode()])
            for mail, outcome in zip(self.mails, self.client.outcomes, strict=True)
        ]

    def pieces(self, data):
        position, turn = 0, 0
        while position < len(data) and self.left != 0:
            size = self.sizes[turn % len(self.sizes)]
            if self.left is not None:
                size = min(size, self.left)
                self.left -= size
            yield data[position : position + size]
            position, turn = position + size, turn + 1


sizes = st.just([100_000]) | st.lists(st.integers(1, 200), min_size=1, max_size=4)


@given(st.lists(st.sampled_from(sorted(SETTLED)), min_size=1, max_size=8), sizes, st.booleans(), st.booleans())
def test_every_recipient_is_answered_as_it_would_be_alone(tags, sizes, chunking, fast):
    results = Line(tags, sizes=sizes, chunking=chunking, fast=fast).run()
    for tag, (outcome, taken) in zip(tags, results, strict=True):
        expected = SETTLED[tag]
        assert outcome.failure_class == expected if isinstance(outcome, Refused) else isinstance(outcome, expected)
        assert taken == isinstance(outcome, Accepted)


@given(
    st.lists(st.sampled_from(TAGS), min_size=1, max_size=8),
    sizes,
    st.none() | st.integers(0, 3_000),
    st.sampled_from(["example.org", "gmail.com"]),
    st.builds(
        Faults,
        drop_before_accepting=st.sampled_from([0, 0, 0.3]),
        drop_after_accepting=st.sampled_from([0, 0, 0.3]),
        garbage=st.sampled_from([0, 0, 0.3]),
        shut_down=st.sampled_from([0, 0, 0.3]),
        seed=st.integers(0, 1_000),
    ),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=300)
def test_no_break_makes_an_outcome_that_is_not_true(tags, sizes, breaks_after, domain, faults, chunking, fast):
    line = Line(
        tags, sizes=sizes, breaks_after=breaks_after, domain=domain, faults=faults, chunking=chunking, fast=fast
    )
    results = line.run()
    assert len(results) == len(tags)
    for outcome, taken in results:
        match outcome:
            case Accepted():
                assert taken == 1
            case Refused() | NotTried():
                assert taken == 0
            case Unknown():
                assert taken in (0, 1)
