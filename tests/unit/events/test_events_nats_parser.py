"""The fast parser against nats-py's own, over any messages in any pieces."""

from hypothesis import given
from hypothesis import strategies as st
from nats.protocol.parser import Parser

from events.nats_parser import FastParser

TOKENS = st.text(st.sampled_from("abcXYZ$._-09"), min_size=1, max_size=10)
MESSAGES = st.tuples(
    TOKENS,
    st.integers(1, 3),
    st.one_of(st.just(""), TOKENS),
    st.one_of(st.just(b""), st.just(b"NATS/1.0\r\nA: b\r\n\r\n"), st.just(b"NATS/1.0 404 No Messages\r\n\r\n")),
    st.binary(max_size=60) | st.sampled_from([b"MSG a 1 5\r\n", b"\r\n\r\n", b"PING\r\n"]),
)


class Recorder:
    """The client's side of a parser: notes what it is told."""

    def __init__(self):
        self.seen = []

    async def _process_msg(self, sid, subject, reply, data, headers):
        self.seen.append((sid, subject, reply, data, headers or b""))

    async def _process_ping(self):
        self.seen.append("ping")

    async def _process_pong(self):
        self.seen.append("pong")

    async def _process_info(self, info):
        self.seen.append(info)

    async def _process_err(self, error):
        self.seen.append(error)


def wire(message):
    subject, sid, reply, headers, payload = message
    reply = f" {reply}" if reply else ""
    sizes = f"{len(headers)} {len(headers) + len(payload)}" if headers else str(len(payload))
    verb = "HMSG" if headers else "MSG"
    return f"{verb} {subject} {sid}{reply} {sizes}\r\n".encode() + headers + payload + b"\r\n"


LINES = st.sampled_from(
    [b"PING\r\n", b"PONG\r\n", b"+OK\r\n", b'INFO {"a": 1}\r\n', b"-ERR 'Permissions Violation'\r\n"]
)
STREAMS = st.lists(st.one_of(MESSAGES.map(wire), LINES), max_size=12).map(b"".join)


def ignored(verb, subject):
    """For parsers that meet no refusal."""
    raise AssertionError(f"the parser found a refusal to {verb} to {subject}")


async def feed(parser, data, cuts):
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    for start, end in zip([0, *ends], ends, strict=False):
        await parser.parse(data[start:end])


@given(STREAMS, st.lists(st.integers(0, 400), max_size=8))
async def test_any_stream_in_any_pieces_reads_as_nats_py_reads_it(data, cuts):
    plain, fast = Recorder(), Recorder()
    await feed(Parser(plain), data, [])
    await feed(FastParser(fast, {}, ignored), data, cuts)
    assert fast.seen == plain.seen


@given(st.lists(MESSAGES, max_size=12), st.lists(st.integers(0, 400), max_size=8))
async def test_a_receiver_gets_the_messages_of_its_subscription_and_no_others(messages, cuts):
    client, received = Recorder(), []
    parser = FastParser(client, {2: lambda *message: received.append(message)}, ignored)
    await feed(parser, b"".join(map(wire, messages)), cuts)
    expected = [(s.encode(), r.encode(), payload, headers) for s, sid, r, headers, payload in messages if sid == 2]
    assert received == expected
    assert [sid for sid, *_ in client.seen] == [sid for _, sid, *_ in messages if sid != 2]


async def test_what_is_left_of_a_lost_connection_does_not_meet_the_next():
    client, received = Recorder(), []
    parser = FastParser(client, {1: lambda *message: received.append(message)}, ignored)
    await parser.parse(b"MSG a 1 10\r\nhalf")
    parser.reset()
    await parser.parse(b"MSG b 1 3\r\nnew\r\n")
    assert received == [(b"b", b"", b"new", b"")]


async def test_a_connection_given_up_while_reading_ends_the_reading():
    received = []

    class GivesUp(Recorder):
        async def _process_err(self, error):
            parser.reset()

    parser = FastParser(GivesUp(), {1: lambda *message: received.append(message)}, ignored)
    await parser.parse(b"-ERR 'Stale Connection'\r\nMSG a 1 3\r\nold\r\nMSG a 1 10\r\nha")
    await parser.parse(b"MSG b 1 3\r\nnew\r\n")
    assert received == [(b"b", b"", b"new", b"")]


@given(st.lists(st.integers(0, 400), max_size=8))
async def test_refusals_are_told_with_their_subjects_as_they_are(cuts):
    refused, others = [], Recorder()
    parser = FastParser(others, {}, lambda *refusal: refused.append(refusal))
    lines = [
        b"-ERR 'Permissions Violation for Publish to \"$JS.API.STREAM.PURGE.MAIL\"'\r\n",
        b"PING\r\n",
        b'-ERR \'Permissions Violation for Subscription to "_INBOX_a.>" using queue "q"\'\r\n',
        b"-ERR 'Permissions Violation for Subscription to \"a.b\", too many tokens'\r\n",
    ]
    await feed(parser, b"".join(lines), cuts)
    assert refused == [("publish", "$JS.API.STREAM.PURGE.MAIL"), ("subscribe", "_INBOX_a.>"), ("subscribe", "a.b")]
    assert others.seen == ["ping"]
