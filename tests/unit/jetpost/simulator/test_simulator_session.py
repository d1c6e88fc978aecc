"""The simulator's side of SMTP, without a network."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetpost.simulator.counts import Counts, read_ids
from jetpost.simulator.session import Next, Session
from jetpost.simulator.settings import Faults, SimulatorSettings, Tls
from jetpost.simulator.world import World

ID = "abcdefghijklmnop"
MESSAGE = f"Message-ID: <{ID}.campaign@example.com>\r\nSubject: x\r\n\r\nhello\r\n.\r\n".encode()


class Clock:
    now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def start(tmp_path, clock):
    """A function that starts a session past EHLO; `counts` of all of them is on the function."""
    counts = Counts(tmp_path)

    def start(**settings):
        session = Session(World(SimulatorSettings(state_dir=tmp_path, **settings), counts, clock))
        session.receive(b"EHLO test\r\n")
        return session

    start.counts = counts
    yield start
    counts.close()


def envelope(recipient):
    return f"MAIL FROM:<b@example.com>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n".encode()


def codes(turn):
    return [line[:3].decode() for line in turn.replies.split(b"\r\n")[:-1]]


def send(session, recipient):
    first = session.receive(envelope(recipient))
    if b"354" not in first.replies:
        return first
    return session.receive(MESSAGE)


def accepted(start):
    start.counts.flush()
    return [mail_id.decode() for mail_id in read_ids(start.counts.path)]


def test_a_mail_without_a_tag_is_accepted_and_counted_by_its_id(start):
    assert codes(send(start(), "ada@gmail.com")) == ["250"]
    assert accepted(start) == [ID]
    assert start.counts.accepted_by_provider == {"gmail": 1}


@pytest.mark.parametrize(
    ("recipient", "reply"),
    [
        ("ada+full@gmail.com", b"452 4.2.2 "),
        ("ada+full@yahoo.com", b"552 5.2.2 "),
        ("ada+unknown@gmail.com", b"550 5.1.1 "),
        ("ada+unknown@outlook.com", b"550 5.1.10 "),
        ("ada+tempfail@example.org", b"451 4.3.0 "),
        ("ada+throttled@example.org", b"450 4.2.1 "),
        ("ada+greylist@icloud.com", b"451 4.7.1 "),
        ("ada+news+FULL@example.org", b"552 5.2.2 "),
    ],
)
def test_tags_refuse_the_recipient_in_the_words_of_its_provider(start, recipient, reply):
    assert reply in send(start(), recipient).replies
    assert accepted(start) == []


def test_a_blocked_mail_is_refused_after_its_final_dot(start):
    assert send(start(), "ada+blocked@gmail.com").replies.startswith(b"550 5.7.1 ")
    assert accepted(start) == []


def test_a_greylisted_recipient_is_accepted_once_its_time_has_passed(start, clock):
    session = start(greylist_seconds=30)
    assert b"try again in 30 seconds" in send(session, "ada+greylist@example.org").replies
    session.receive(b"RSET\r\n")
    clock.now += 29
    assert b"451" in send(session, "ada+greylist@example.org").replies
    session.receive(b"RSET\r\n")
    clock.now += 1
    assert codes(send(session, "ada+greylist@example.org")) == ["250"]


def test_a_throttled_recipient_is_accepted_after_its_tries(start):
    session = start(throttled_tries=2)
    for _ in range(2):
        assert b"450 4.2.1" in send(session, "ada+throttled@example.org").replies
        session.receive(b"RSET\r\n")
    assert codes(send(session, "ada+throttled@example.org")) == ["250"]


def test_gmail_throttles_with_421_and_closes(start):
    turn = send(start(), "ada+throttled@gmail.com")
    assert codes(turn) == ["250", "421"]
    assert turn.next is Next.CLOSE


@pytest.mark.parametrize(("tag", "taken"), [("drop", []), ("drop-accepted", [ID])])
def test_a_drop_closes_without_a_final_reply_and_only_once(start, tag, taken):
    turn = send(start(), f"ada+{tag}@example.org")
    assert (turn.replies, turn.next) == (b"", Next.CLOSE)
    assert accepted(start) == taken


def test_drop_before_closes_at_rcpt(start):
    turn = start().receive(envelope("ada+drop-before@example.org"))
    assert (codes(turn), turn.next) == (["250"], Next.CLOSE)


def test_a_slow_recipient_is_answered_when_it_has_waited(start):
    session = start(slow_seconds=7)
    turn = send(session, "ada+slow@example.org")
    assert (turn.replies, turn.next, turn.seconds) == (b"", Next.WAIT, 7)
    assert codes(session.receive(b"NOOP\r\n")) == ["250", "250"]


def test_pipelined_mails_are_answered_in_order(start):
    session = start()
    session.receive(envelope("a@example.org"))
    turn = session.receive(MESSAGE + envelope("b+unknown@example.org") + b"RSET\r\n" + envelope("c@example.org"))
    assert codes(turn) == ["250", "250", "550", "554", "250", "250", "250", "354"]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=5))
def test_where_the_stream_is_cut_changes_nothing(tmp_path_factory, sizes):
    counts = Counts(tmp_path_factory.mktemp("counts"))
    session = Session(World(SimulatorSettings(state_dir=counts.path.parent), counts, Clock()))
    stream = b"EHLO x\r\n" + envelope("a@gmail.com") + MESSAGE + envelope("b@example.org") + b".\r\n"
    stream += envelope("c@example.org").replace(b"DATA", b"BDAT 8 LAST") + b"x\r\n.\r\n\r\nQUIT\r\n"
    replies, position, turn = b"", 0, 0
    while position < len(stream):
        size = sizes[turn % len(sizes)]
        replies += session.receive(stream[position : position + size]).replies
        position, turn = position + size, turn + 1
    counts.close()
    assert replies.count(b"250 2.0.0 Ok: taken") == 3
    assert replies.endswith(b"221 2.0.0 Bye\r\n")
    assert list(read_ids(counts.path)) == [ID.encode()]
    assert counts.unidentified == 2


def test_a_message_may_come_in_chunks(start):
    session = start()
    session.receive(envelope("a@example.org").removesuffix(b"DATA\r\n"))
    message = MESSAGE.removesuffix(b".\r\n") + b".\r\n.\r\n"
    assert codes(session.receive(b"BDAT 10\r\n" + message[:10])) == ["250"]
    assert codes(session.receive(b"BDAT %d LAST\r\n" % (len(message) - 10) + message[10:-1])) == []
    assert codes(session.receive(message[-1:] + b"NOOP\r\n")) == ["250", "250"]
    assert accepted(start) == [ID]
    assert start.counts.bytes == len(message)


def test_a_chunk_that_nobody_is_to_get_is_read_and_refused(start):
    turn = start().receive(
        envelope("a+unknown@example.org").removesuffix(b"DATA\r\n") + b"BDAT 5 LAST\r\nNOOP\nNOOP\r\n"
    )
    assert codes(turn) == ["250", "550", "554", "250"]


@pytest.mark.parametrize("line", [b"BDAT x LAST\r\n", b"BDAT 5 FIRST\r\n", b"BDAT\r\n"])
def test_a_chunk_of_unknown_size_ends_the_session(start, line):
    assert start().receive(line).next is Next.CLOSE


def test_a_dot_that_is_stuffed_does_not_end_the_message(start):
    session = start()
    session.receive(envelope("a@example.org"))
    assert session.receive(b"Subject: x\r\n\r\n..\r\nmore\r\n").replies == b""
    assert codes(session.receive(b".\r\n")) == ["250"]


@pytest.mark.parametrize("end", [b"\n.\n", b"\n.\r\n", b"\r.\r"])
def test_only_crlf_ends_a_message(start, end):
    session = start()
    session.receive(envelope("a@example.org"))
    assert session.receive(b"hello" + end + b"MAIL FROM:<evil@example.org>\r\n").replies == b""


def test_any_spelling_of_message_id_is_found(start):
    session = start()
    session.receive(envelope("a@example.org"))
    session.receive(f"Subject: x\r\nmessage-id:<{ID}.c@x>\r\n\r\nMessage-ID: <zzzzzzzzzzzzzzzz.c@x>\r\n.\r\n".encode())
    assert accepted(start) == [ID]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"DATA", "503"),
        (b"RCPT TO:<a@b.org>", "503"),
        (b"MAIL FROM:a@b.org", "501"),
        (b"MAIL FROM:<a@b.org> SIZE=60000000", "552"),
        (b"STARTTLS", "502"),
        (b"AUTH PLAIN", "503"),
        (b"EHLO", "501"),
        (b"FOO", "500"),
        (b"NOOP", "250"),
        (b"VRFY a", "252"),
    ],
)
def test_commands_out_of_place(start, line, code):
    assert codes(start().receive(line + b"\r\n")) == [code]


def test_an_endless_line_closes_the_connection(start):
    assert start().receive(b"x" * 20_000).next is Next.CLOSE


def test_ehlo_offers_what_is_set(start, tmp_path):
    tls = Tls(certificate=tmp_path, key=tmp_path)
    offered = start(tls=tls, credentials=("ada", "secret"), pipelining=False).receive(b"EHLO x\r\n").replies
    assert b"STARTTLS" in offered
    assert b"AUTH PLAIN LOGIN" in offered
    assert b"PIPELINING" not in offered


def b64(text):
    return base64.b64encode(text)


@pytest.mark.parametrize(
    "lines",
    [
        [b"AUTH PLAIN " + b64(b"\0ada\0secret")],
        [b"AUTH PLAIN", b64(b"\0ada\0secret")],
        [b"AUTH LOGIN", b64(b"ada"), b64(b"secret")],
        [b"AUTH LOGIN " + b64(b"ada"), b64(b"secret")],
    ],
)
def test_mail_is_taken_only_after_auth(start, lines):
    session = start(credentials=("ada", "secret"))
    assert codes(session.receive(b"MAIL FROM:<a@b.org>\r\n")) == ["530"]
    assert [codes(session.receive(line + b"\r\n"))[0] for line in lines][-1] == "235"
    assert codes(send(session, "a@example.org")) == ["250"]


@pytest.mark.parametrize("line", [b"AUTH PLAIN " + b64(b"\0ada\0wrong"), b"AUTH PLAIN ?", b"AUTH CRAM-MD5"])
def test_wrong_credentials_are_refused(start, line):
    assert codes(start(credentials=("ada", "secret")).receive(line + b"\r\n"))[0] in {"535", "504"}


@pytest.mark.parametrize(
    ("faults", "expected", "taken"),
    [
        (Faults(drop_before_accepting=1), Next.CLOSE, []),
        (Faults(drop_after_accepting=1), Next.CLOSE, [ID]),
        (Faults(drop_before_message=1), Next.CLOSE, []),
        (Faults(hang=1), Next.HANG, []),
        (Faults(hang_after_accepting=1), Next.HANG, [ID]),
        (Faults(half_close=1), Next.HALF_CLOSE, []),
        (Faults(garbage=1), Next.GO_ON, []),
    ],
)
def test_a_fault_strikes_and_the_mail_is_taken_or_not(start, faults, expected, taken):
    turn = send(start(faults=faults), "a@example.org")
    assert turn.next is expected
    assert accepted(start) == taken
    assert start.counts.faults.total() == 1


def test_a_server_that_shuts_down_says_421(start):
    turn = start(faults=Faults(shut_down=1)).receive(envelope("a@example.org"))
    assert (codes(turn), turn.next) == (["421"], Next.CLOSE)
