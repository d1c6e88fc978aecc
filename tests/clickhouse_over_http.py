"""ClickHouse as a server: chdb behind the part of its HTTP interface that clickhouse-connect uses. A process of its own.

    python tests/clickhouse_over_http.py 127.0.0.1 8123 /path/to/data jetpost secret

Says `ready` when it listens. https://clickhouse.com/docs/interfaces/http
"""

import base64
import contextlib
import gzip
import hmac
import re
import sys
import tempfile
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import chdb
import lz4.frame
import zstandard

OF_TRANSPORT = frozenset(
    {
        "buffer_size",
        "client_protocol_version",
        "compress",
        "database",
        "decompress",
        "enable_http_compression",
        "http_headers_progress_interval_ms",
        "query",
        "query_id",
        "role",
        "send_progress_in_http_headers",
        "session_id",
        "wait_end_of_query",
    }
)
"""Parameters that are no settings of a query."""
DECODERS = {"lz4": lz4.frame.decompress, "zstd": zstandard.decompress, "gzip": gzip.decompress, "": bytes}
IS_INSERT = re.compile(rb"\s*(INSERT\s+INTO\s[^\0]*?)\sFORMAT\s+Native\s*\n", re.IGNORECASE)
"""What is behind it is data."""


def answer(folder: str, parameters: dict[str, str], body: bytes) -> bytes:
    """What ClickHouse says. Raises `RuntimeError` with its words."""
    asked = parameters.get("query", "").encode() + body
    insert = IS_INSERT.match(asked)
    bound = {name[6:]: value for name, value in parameters.items() if name.startswith("param_")}
    settings = {
        name: value for name, value in parameters.items() if name not in OF_TRANSPORT and not name.startswith("param_")
    }
    with contextlib.closing(chdb.connect(folder)) as connection, tempfile.NamedTemporaryFile(suffix=".native") as file:
        for name, value in settings.items():
            connection.query(f"SET {name} = '{value}'")
        if insert is not None:
            file.write(asked[insert.end() :])
            file.flush()
            asked = insert[1] + f" FROM INFILE '{file.name}' FORMAT Native".encode()
        return connection.query(asked.decode(), "TabSeparated", params=bound).bytes()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder = authorization = ""

    def do_GET(self):
        if self.path == "/ping":
            self._say(HTTPStatus.OK, b"Ok.\n")
        else:
            self.do_POST()

    def do_POST(self):
        body = self._body()
        if not hmac.compare_digest(self.headers.get("Authorization", ""), self.authorization):
            self._say(HTTPStatus.FORBIDDEN, b"Code: 516. DB::Exception: Authentication failed", 516)
            return
        try:
            said = answer(self.folder, dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True)), body)
        except RuntimeError as error:
            code = re.search(r"Code: (\d+)", str(error))
            self._say(HTTPStatus.INTERNAL_SERVER_ERROR, str(error).encode(), int(code[1]) if code else 1)
        else:
            self._say(HTTPStatus.OK, said)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            data = b"".join(iter(self._chunk, b""))
        else:
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return DECODERS[self.headers.get("Content-Encoding", "")](data)

    def _chunk(self) -> bytes:
        data = self.rfile.read(int(self.rfile.readline(), 16))
        self.rfile.readline()
        return data

    def _say(self, status: HTTPStatus, body: bytes, code: int = 0) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-ClickHouse-Timezone", "UTC")
        if code:
            self.send_header("X-ClickHouse-Exception-Code", str(code))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


def serve(host: str, port: int, folder: str, user: str, password: str) -> None:
    Handler.folder = folder
    Handler.authorization = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    with (
        contextlib.closing(chdb.connect(folder)),
        Server((host, port), Handler) as server,
    ):  # one handle stays: the engine, too
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), *sys.argv[3:6])
