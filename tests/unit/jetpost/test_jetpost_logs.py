"""Log lines, as JSON and for people."""

import io
import json
import logging
import warnings

import pytest

from analytics.bounces.read import read
from jetpost.logs import HumanFormatter, JsonFormatter, LogSettings, configure, visible


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def logging_as_before():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


def record(message="sent %s", *args, level=logging.INFO, **extra):
    made = logging.LogRecord("sender", level, "file.py", 1, message, args, None)
    made.__dict__.update(extra)
    return made


def as_json(made: logging.LogRecord) -> dict:
    line = JsonFormatter("sender").format(made)
    assert "\n" not in line
    return json.loads(line)


def test_a_json_line_says_when_who_and_what():
    made = record("sent %s", "x", pool="main")
    made.created, made.msecs = 1_800_000_000.25, 250.0
    assert as_json(made) == {
        "time": "2027-01-15T08:00:00.250Z",
        "level": "info",
        "component": "sender",
        "logger": "sender",
        "message": "sent x",
        "pool": "main",
    }


class Unprintable:
    def __repr__(self) -> str:
        return "<odd>"


@pytest.mark.parametrize(
    ("odd", "read"),
    [
        (Unprintable(), "<odd>"),
        (ValueError("bad"), "bad"),
        ({(1, 2): 3}, {"(1, 2)": 3}),
        ("\udcff", "\\udcff"),
        ([1, None], [1, None]),
        (float("nan"), None),
    ],
)
def test_odd_extras_do_not_cost_the_line(odd, read):
    assert as_json(record("odd", odd=odd))["odd"] == read


def test_an_extra_that_contains_itself_does_not_cost_the_line():
    odd: list[object] = []
    odd.append(odd)
    assert as_json(record("odd", odd=odd))["message"] == "odd"


def test_extras_do_not_replace_what_every_line_says():
    assert as_json(logging.makeLogRecord({**vars(record("x")), "time": "never", "level": "none"}))["level"] == "info"


def test_an_exception_is_part_of_its_line():
    made = record("failed")
    made.exc_info = (ValueError, ValueError("broken"), None)
    assert as_json(made)["exception"].endswith("ValueError: broken")
    assert HumanFormatter("x", colour=False).format(made).endswith("ValueError: broken")


def test_a_stack_is_part_of_its_line():
    made = record("here")
    made.stack_info = "Stack (most recent call last):\n  somewhere"
    assert "somewhere" in as_json(made)["exception"]


def test_a_line_for_people_has_extras_behind_the_message():
    line = HumanFormatter("sender", colour=False).format(record("sent %s", "x", pool="main"))
    assert line.endswith(" INFO    sender    sent x  pool=main")


def test_colours_are_for_terminals():
    assert "\033[36m" in HumanFormatter("sender", colour=True).format(record("x"))
    assert "\033" not in HumanFormatter("sender", colour=False).format(record("x"))


def test_a_level_of_others_is_shown_without_colour():
    made = record("x", level=7)  # uvicorn names level 5
    assert "Level 7" in HumanFormatter("sender", colour=True).format(made)


def test_a_reply_of_a_remote_server_cannot_command_the_terminal_or_forge_a_line():
    line = HumanFormatter("sender", colour=False).format(
        record("refused", reply="550 \x1b[2Jgone\n12:00 INFO all well")
    )
    assert "550 \\x1b[2Jgone\\n12:00" in line


@pytest.mark.parametrize("text", ["Ada Łovelace", "日本 – €", ""])
def test_visible_text_stays_as_it_is(text):
    assert visible(text) == text


@pytest.mark.parametrize(
    ("chosen", "stream", "is_json"),
    [("auto", io.StringIO, True), ("auto", Terminal, False), ("json", Terminal, True), ("human", io.StringIO, False)],
)
def test_logs_are_for_people_on_a_terminal_and_json_elsewhere(chosen, stream, is_json):
    out = stream()
    configure(LogSettings(format=chosen), "web", out)
    logging.getLogger("x").info("hello")
    assert out.getvalue().startswith("{") is is_json


def test_libraries_are_quiet_and_warnings_of_python_are_logged():
    out = io.StringIO()
    configure(LogSettings(level="info"), "web", out)
    logging.getLogger("uvicorn.error").info("Started server process")
    logging.getLogger("nats.aio.client").info("connected")
    logging.getLogger("mail.log").info("('127.0.0.1', 1) >> b'rcpt TO:<ann@example.com>'")
    logging.getLogger("jetpost").debug("too much")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old way", DeprecationWarning, stacklevel=1)
    (line,) = out.getvalue().splitlines()
    assert "old way" in json.loads(line)["message"]


def test_where_only_errors_are_wanted_libraries_do_not_warn():
    out = io.StringIO()
    configure(LogSettings(level="error"), "web", out)
    logging.getLogger("uvicorn.error").warning("hm")
    assert out.getvalue() == ""


def test_the_mail_of_strangers_cannot_fill_the_log():
    out = io.StringIO()
    configure(LogSettings(level="debug"), "bounces", out)
    assert (
        read(b"Subject: Undeliverable\n\nwithout a sender, at which one of flufl's patterns stumbles").kind == "unknown"
    )
    assert out.getvalue() == ""
