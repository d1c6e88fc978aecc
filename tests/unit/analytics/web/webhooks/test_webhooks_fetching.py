"""Fetching, from a server on this machine that behaves as it is told."""

import ssl
import threading
from http.client import HTTPConnection, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import trustme

from analytics.web.webhooks import fetching
from analytics.web.webhooks.fetching import MOST_BYTES, FetchFailed

URL = "https://sns.eu-central-1.amazonaws.com/cert.pem?x=1"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        status, body, headers = self.server.answer
        self.server.asked.append(self.path)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def amazon():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        server.answer = (200, b"certificate", {})
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def get(amazon):
    return fetching.get(URL, lambda: HTTPConnection(*amazon.server_address, timeout=5))


async def test_what_is_there_is_fetched_with_its_query(amazon):
    assert await get(amazon) == b"certificate"
    assert amazon.asked == ["/cert.pem?x=1"]


@pytest.mark.parametrize("status", [301, 302, 307, 403, 404, 500])
async def test_nothing_but_200_counts_and_redirects_are_not_followed(amazon, status):
    amazon.answer = (status, b"", {"Location": f"http://127.0.0.1:{amazon.server_address[1]}/elsewhere"})
    with pytest.raises(FetchFailed, match=str(status)):
        await get(amazon)
    assert len(amazon.asked) == 1


async def test_what_is_too_large_is_refused(amazon):
    amazon.answer = (200, b"x" * (MOST_BYTES + 1), {})
    with pytest.raises(FetchFailed, match="more than"):
        await get(amazon)


async def test_nobody_there_is_a_failure(free_port):
    port = free_port()
    with pytest.raises(FetchFailed):
        await fetching.get(URL, lambda: HTTPConnection("127.0.0.1", port, timeout=1))


async def test_what_speaks_no_tls_is_not_believed(amazon, monkeypatch):
    monkeypatch.setattr(fetching, "HTTPSConnection", _to(amazon.server_address[1]))
    with pytest.raises(FetchFailed):
        await fetching.https_get(URL)


async def test_whoever_stands_where_the_name_leads_must_prove_to_be_it(amazon, monkeypatch):
    """A name that is made to lead to a machine inside (DNS rebinding) leads to nobody who can prove to be Amazon."""
    inside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("sns.eu-central-1.amazonaws.com").configure_cert(inside)
    amazon.socket = inside.wrap_socket(amazon.socket, server_side=True)
    monkeypatch.setattr(fetching, "HTTPSConnection", _to(amazon.server_address[1]))
    with pytest.raises(FetchFailed, match="certificate verify failed"):
        await fetching.https_get(URL)
    assert amazon.asked == []


def _to(port):
    return lambda host, **options: HTTPSConnection("127.0.0.1", port, **options)
