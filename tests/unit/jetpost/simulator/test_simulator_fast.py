"""The fast session answers and counts what the plain one does, whatever is sent and however it is cut."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetpost.simulator.counts import Counts, read_ids
from jetpost.simulator.fast import FastSession
from jetpost.simulator.session import Next, Session
from jetpost.simulator.settings import Faults, SimulatorSettings
from jetpost.simulator.world import World

ID = b"abcdefghijklmnop"
HEADERS = st.sampled_from(
    [
        b"Message-ID: <%s.c@example.com>\r\nSubject: x\r\n\r\n" % ID,
        b"Subject: x\r\nMessage-ID: <%s.c@example.com>\r\n\r\n" % ID,
        b"Subject: x\r\nX-Message-ID: <%s.c@example.com>\r\n\r\n" % ID,
        b"message-id:<%s.c@example.com>\r\n\r\n" % ID,
        b"Subject: x\r\n\r\nMessage-ID: <%s.c@example.com>\r\n" % ID,
        b"Message-ID: <another>\r\n\r\n",
        b"",
    ]
)
MESSAGES = st.builds(lambda headers, size: headers + b"x" * size + b"\r\n", HEADERS, st.integers(0, 300))
SENDERS = st.sampled_from(
    [
        b"MAIL FROM:<b@example.com> SIZE=80\r\n",
        b"MAIL FROM:<b@example.com>\r\n",
        b"MAIL FROM:<> SIZE=80 BODY=8BITMIME SMTPUTF8\r\n",
        b"mail from:<b@example.com> size=80\r\n",
        b"MAIL FROM:<b@example.com> SIZE=99999\r\n",
        b"MAIL FROM:b@example.com\r\n",
        b"MAIL FROM:<b@example.com> BODY=8BITMIME SIZE=80 AUTH=<>\r\n",
    ]
)
RECIPIENTS = st.sampled_from(
    [
        b"RCPT TO:<ada@gmail.com>\r\n",
        b"RCPT TO:<ada@GMail.com>\r\n",
        b"RCPT TO:<ad\xc3\xa9@example.org>\r\n",
        b"RCPT TO:<ada@example.org>\r\nRCPT TO:<bob@example.org>\r\n",
        b"RCPT TO:<ada+unknown@gmail.com>\r\n",
        b"RCPT TO:<ada+blocked@gmail.com>\r\n",
        b"RCPT TO:<ada+throttled@gmail.com>\r\n",
        b"RCPT TO:<ada+drop@gmail.com>\r\n",
        b"RCPT TO:<ada@b@gmail.com>\r\n",
        b"RCPT TO:<ada>\r\n",
        b"RCPT TO:<@gmail.com>\r\n",
        b"",
    ]
)
ENDINGS = st.sampled_from(
    [b"", b"", b"", b"RSET\r\n", b"NOOP\r\n", b"EHLO again\r\n", b"MAIL FROM:<c@d.org>\r\n", b"QUIT\r\n"]
)


def in_one_chunk(message):
    return b"BDAT %d LAST\r\n" % len(message) + message


def in_two_chunks(message):
    half = len(message) // 2
    return b"BDAT %d\r\n" % half + message[:half] + b"bdat %d last\r\n" % (len(message) - half) + message[half:]


def as_data(message):
    return b"DATA\r\n" + message + b".\r\n"


TRANSACTIONS = st.builds(
    lambda sender, recipients, wrap, message, ending: sender + recipients + wrap(message) + ending,
    SENDERS,
    RECIPIENTS,
    st.sampled_from([in_one_chunk, in_one_chunk, in_two_chunks, as_data]),
    MESSAGES,
    ENDINGS,
)
FAULTS = st.just(Faults()) | st.builds(
    Faults,
    drop_before_accepting=st.sampled_from([0, 0.3]),
    garbage=st.sampled_from([0, 0.3]),
    shut_down=st.sampled_from([0, 0.3]),
    seed=st.integers(0, 100),
)


def converse(kind, folder, stream, sizes, **more):
    """Everything that came of a conversation."""
    counts = Counts(folder)
    world = World(SimulatorSettings(state_dir=folder, max_size=500, **more), counts, lambda: 0.0)
    session = kind(world)
    replies, position, turn = [], 0, 0
    while position < len(stream):
        size = sizes[turn % len(sizes)]
        answer = session.receive(stream[position : position + size])
        replies.append(answer)
        position, turn = position + size, turn + 1
        if answer.next is not Next.GO_ON:
            break
    counts.close()
    told = (
        counts.messages,
        counts.unidentified,
        counts.bytes,
        counts.accepted_by_provider,
        counts.refused,
        counts.faults,
    )
    return replies, told, list(read_ids(counts.path))


@given(
    st.lists(TRANSACTIONS, max_size=5),
    st.just([100_000]) | st.lists(st.integers(1, 200), min_size=1, max_size=4),
    FAULTS,
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=200)
def test_it_answers_and_counts_what_the_plain_session_does(
    tmp_path_factory, transactions, sizes, faults, chunking, greeted
):
    folder = tmp_path_factory.mktemp("counts")
    stream = b"EHLO test\r\n" * greeted + b"".join(transactions)
    plain = converse(Session, folder, stream, sizes, faults=faults, chunking=chunking)
    assert converse(FastSession, folder, stream, sizes, faults=faults, chunking=chunking) == plain


@pytest.mark.parametrize("kind", [Session, FastSession])
def test_without_authentication_nothing_is_taken(tmp_path, kind):
    stream = b"EHLO test\r\nMAIL FROM:<b@example.com>\r\nRCPT TO:<ada@gmail.com>\r\n" + in_one_chunk(b"x\r\n")
    replies, told, _ = converse(kind, tmp_path, stream, [100_000], credentials=("ada", "secret"))
    assert replies[0].replies.endswith(
        b"530 5.7.0 Authentication required\r\n" + b"503 5.5.1 Bad sequence of commands\r\n" * 2
    )
    assert told[0] == 0


def test_faults_set_while_it_runs_strike(tmp_path):
    world = World(SimulatorSettings(state_dir=tmp_path), Counts(tmp_path), lambda: 0.0)
    session = FastSession(world)
    mail = b"MAIL FROM:<b@example.com>\r\nRCPT TO:<ada@gmail.com>\r\n" + in_one_chunk(b"x\r\n")
    assert session.receive(b"EHLO test\r\n" + mail).replies.endswith(b"250 2.0.0 Ok: taken\r\n")
    world.set_faults(Faults(drop_after_accepting=1))
    assert session.receive(mail).next is Next.CLOSE
    world.set_faults(Faults(seed=7))
    assert session.receive(b"RSET\r\n" + mail).replies.endswith(b"250 2.0.0 Ok: taken\r\n")
    world.counts.close()
