"""The bulk encoder against nats-py's own, and its refusals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.protocol import command

from events import nats_frames
from events.bus import Message
from events.errors import BusError
from events.nats_parser import FastParser

MAX_PAYLOAD = 1_048_576
TOKENS = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=12)


def plain(subject, headers, payload, reply=""):
    """The message as nats-py writes it, whose reply field is empty rather than absent where there is none."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    encoded = command.hpub_cmd(subject, reply, f"NATS/1.0\r\n{lines}\r\n".encode(), payload)
    return encoded if reply else encoded.replace(b"  ", b" ", 1)


@given(TOKENS, TOKENS, st.binary())
def test_a_message_has_the_bytes_that_nats_py_writes(subject, message_id, payload):
    frame = nats_frames.message_frame(Message(subject, payload, message_id), b"", b"", MAX_PAYLOAD)
    assert frame == plain(subject, {"Nats-Msg-Id": message_id}, payload)


@given(st.lists(st.tuples(TOKENS, st.binary(), TOKENS), min_size=2, max_size=8))
def test_a_batch_has_the_bytes_that_nats_py_writes(contents):
    messages = [Message(*content) for content in contents]
    expected = [
        plain(
            message.subject,
            {"Nats-Msg-Id": message.id, "Nats-Batch-Id": "b", "Nats-Batch-Sequence": n}
            | ({"Nats-Batch-Commit": 1} if n == len(messages) else {}),
            message.payload,
            "inbox.0" if n == len(messages) else "",
        )
        for n, message in enumerate(messages, start=1)
    ]
    assert nats_frames.atomic_batch(messages, b"b", b"inbox", MAX_PAYLOAD) == b"".join(expected)


def test_single_messages_each_ask_for_an_answer():
    messages = [Message("claims", b"", "a/1"), Message("claims", b"", "b/1")]
    frames = nats_frames.single_messages(messages, b"Mark: x\r\n", b"inbox", MAX_PAYLOAD)
    expected = [plain("claims", {"Nats-Msg-Id": m.id, "Mark": "x"}, b"", f"inbox.{n}") for n, m in enumerate(messages)]
    assert frames == b"".join(expected)


def test_a_message_that_waits_says_until_when_and_where_it_goes_then():
    message = Message("wait", b"x", "a/2", due_at=1_800_000_000.25, target="due")
    frame = nats_frames.message_frame(message, b"", b"", MAX_PAYLOAD)
    headers = {
        "Nats-Msg-Id": "a/2",
        "Nats-Schedule": "@at 2027-01-15T08:00:00.250Z",
        "Nats-Schedule-Target": "due",
    }
    assert frame == plain("wait", headers, b"x")


def test_a_message_without_id_has_no_id_header():
    assert nats_frames.message_frame(Message("s", b"x"), b"", b"", MAX_PAYLOAD) == plain("s", {}, b"x")


def test_answers_go_out_together_and_only_the_last_asks_back():
    frames = nats_frames.answer_frames(["a", "b"], b"+ACK", b"inbox.0")
    assert frames == b"PUB a 4\r\n+ACK\r\nPUB b inbox.0 4\r\n+ACK\r\n"


@pytest.mark.parametrize("text", ["a b", "a\r\nPUB x 0", "a\nb", "a\tb", "\x00", "a\u2028b"])
def test_what_would_break_the_protocol_is_refused_in_subject_id_and_target(text):
    for message in (Message(text, b""), Message("s", b"", text), Message("s", b"", "", 1.0, text)):
        with pytest.raises(ValueError, match="cannot stand in a NATS subject or id"):
            nats_frames.message_frame(message, b"", b"", MAX_PAYLOAD)


def test_a_message_too_large_for_the_server_is_refused_before_the_server_hangs_up():
    with pytest.raises(BusError, match="larger than NATS takes"):
        nats_frames.message_frame(Message("s", bytes(MAX_PAYLOAD)), b"", b"", MAX_PAYLOAD)


@given(st.lists(st.tuples(TOKENS, st.binary()), min_size=1))
async def test_what_is_encoded_can_be_parsed(contents):
    """The server adds the subscription's number, and is otherwise the mirror of the client."""
    received = []
    parser = FastParser(None, {7: lambda *message: received.append(message)}, lambda *_: None)
    for subject, payload in contents:
        frame = nats_frames.message_frame(Message(subject, payload), b"", b"", MAX_PAYLOAD)
        rest = frame.removeprefix(b"HPUB %b" % subject.encode())
        await parser.parse(b"HMSG %b 7%b" % (subject.encode(), rest))
    assert [(subject.decode(), payload) for subject, _, payload, _ in received] == contents
