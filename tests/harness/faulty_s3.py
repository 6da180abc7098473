"""A small S3 over real sockets that fails as it is told to: it keeps what it is given, and counts what comes at once."""

from __future__ import annotations

import enum
import itertools
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


class Fault(enum.Enum):
    """What happens to a request."""

    NONE = enum.auto()
    SLOW_DOWN = enum.auto()
    """503 with the code SlowDown."""
    SILENT = enum.auto()
    """No answer, for as long as the server runs."""
    CUT = enum.auto()
    """The connection ends in the middle of the request's body."""
    CUT_AFTER = enum.auto()
    """The object is kept, and the connection ends before the answer."""


class FaultyS3:
    """`fault` is asked for each request, with its method and key; `objects` has bytes and headers by key."""

    def __init__(self) -> None:
        self.fault: Callable[[str, str], Fault] = lambda method, key: Fault.NONE
        self.objects: dict[str, tuple[bytes, dict[str, str]]] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        """Uploads in parts that are neither complete nor given up."""
        self.uploads = itertools.count()
        self.met: list[Fault] = []
        self.at_once = self.most_at_once = 0
        self.changed = threading.Condition()
        self.closing = threading.Event()
        self.url = ""

    def until(self, true: Callable[[], bool], limit_s: float = 50.0) -> None:
        """Waits until something about its objects or requests is true."""
        with self.changed:
            assert self.changed.wait_for(true, limit_s), "it has not come true"


def _handler(server: FaultyS3) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_words: object) -> None:
            pass

        def _serve(self) -> None:
            url = urlsplit(self.path)
            key = unquote(url.path).partition("/")[2].partition("/")[2]
            with server.changed:
                server.at_once += 1
                server.most_at_once = max(server.most_at_once, server.at_once)
                fault = server.fault(self.command, key)
                server.met.append(fault)
            try:
                self._answer(fault, key, parse_qs(url.query, keep_blank_values=True))
            finally:
                with server.changed:
                    server.at_once -= 1
                    server.changed.notify_all()

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _serve

        def _answer(self, fault: Fault, key: str, query: dict[str, list[str]]) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            if self.headers.get("Expect"):
                self.send_response_only(100)
                self.end_headers()
            if fault is Fault.CUT:
                self.rfile.read(length // 2)
                self.close_connection = True
                return
            body = self.rfile.read(length)
            if fault is Fault.SILENT:
                server.closing.wait()
                self.close_connection = True
            elif fault is Fault.SLOW_DOWN:
                self._say(
                    503,
                    b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>",
                )
            elif self.command == "PUT":
                with server.changed:
                    if "partNumber" in query:
                        server.parts[query["uploadId"][0]][int(query["partNumber"][0])] = body
                    else:
                        server.objects[key] = body, dict(self.headers.items())
                if fault is Fault.CUT_AFTER:
                    self.close_connection = True
                    return
                self._say(200, ETag='"x"')
            elif "uploads" in query or "uploadId" in query:
                self._upload(key, query)
            elif "list-type" in query:
                self._list(query)
            elif self.command == "POST" and "delete" in query:
                for found in re.findall(r"<Key>([^<]*)</Key>", body.decode()):
                    server.objects.pop(found, None)
                self._say(200, b"<DeleteResult></DeleteResult>")
            elif key in server.objects:
                self._give(server.objects[key][0])
            else:
                self._say(404, b"<Error><Code>NoSuchKey</Code></Error>")

        def _upload(self, key: str, query: dict[str, list[str]]) -> None:
            """The begin, end and failure of an upload in parts."""
            if self.command == "DELETE":
                server.parts.pop(query["uploadId"][0], None)
                self._say(204)
                return
            if "uploads" in query:
                upload = f"upload-{next(server.uploads)}"
                server.parts[upload] = {}
                self._say(200, f"<X><UploadId>{upload}</UploadId></X>".encode())
                return
            with server.changed:
                parts = server.parts.pop(query["uploadId"][0])
                server.objects[key] = b"".join(parts[number] for number in sorted(parts)), {}
            self._say(200, b"<X></X>")

        def _give(self, data: bytes) -> None:
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            if asked is None:
                self._say(200, data)
                return
            start, end = int(asked[1]), int(asked[2] or len(data) - 1) + 1
            self._say(206, data[start:end], Content_Range=f"bytes {start}-{end - 1}/{len(data)}")

        def _list(self, query: dict[str, list[str]]) -> None:
            prefix, after = query.get("prefix", [""])[0], query.get("start-after", [""])[0]
            keys = sorted(key for key in server.objects if key.startswith(prefix) and key > after)
            most = int(query.get("max-keys", ["1000"])[0])
            rows = "".join(
                f"<Contents><Key>{escape(key)}</Key><Size>{len(server.objects[key][0])}</Size></Contents>"
                for key in keys[:most]
            )
            more = str(len(keys) > most).lower()
            self._say(
                200, f"<ListBucketResult><IsTruncated>{more}</IsTruncated>{rows}</ListBucketResult>".encode()
            )

        def _say(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    return Handler


@contextmanager
def faulty_s3() -> Iterator[FaultyS3]:
    """Runs one on a free port of this machine."""
    server = FaultyS3()
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server))
    http.daemon_threads = True
    http.handle_error = lambda *_what: None  # type: ignore[method-assign] - peers that give up are the point
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        http.shutdown()
        http.server_close()
        thread.join()
