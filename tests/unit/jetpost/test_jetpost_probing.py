"""`jetpost probe`, against servers that answer as probes do."""

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from typer.testing import CliRunner

from jetpost import cli


@contextlib.contextmanager
def answering(*answers: tuple[int, bytes]):
    """The addresses of a server that gives one answer after the other, and then the last for ever."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, body = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/readyz"
    server.shutdown()
    server.server_close()
    thread.join()


def probe(*arguments: str):
    return CliRunner().invoke(cli.app, ["probe", *arguments], env={"COLUMNS": "200"})


def test_processes_that_are_ready_are_said_to_be():
    with answering((200, b'{"nats": "ok"}')) as one, answering((200, b"{}")) as other:
        result = probe(one, other)
    assert result.exit_code == 0
    assert f"✔ {one}" in result.output
    assert f"✔ {other}" in result.output


def test_what_is_wrong_is_told_and_the_exit_code_says_so():
    with answering((200, b"{}")) as well, answering((503, b'{"nats": "cannot connect"}')) as ill:
        result = probe(well, ill)
    assert result.exit_code == 1
    assert f'✘ {ill}: {{"nats": "cannot connect"}}' in result.output


def test_it_keeps_asking_until_all_say_yes_and_tells_each_change_once():
    with answering((503, b"not yet"), (503, b"not yet"), (200, b"")) as url:
        result = probe(url, "--wait", "30")
    assert result.exit_code == 0
    assert result.output.count("not yet") == 1
    assert result.output.count("✔") == 1


def test_nobody_there_is_told(free_port):
    result = probe(f"http://127.0.0.1:{free_port()}/healthz")
    assert result.exit_code == 1
    assert "refused" in result.output


@pytest.mark.parametrize("url", ["127.0.0.1:9100", "file:///etc/passwd", "http:///readyz"])
def test_what_is_no_address_is_refused(url):
    result = probe(url)
    assert isinstance(result.exception, Exception)
    assert "is no address of a probe" in str(result.exception)
