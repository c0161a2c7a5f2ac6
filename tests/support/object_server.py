"""Object stores over HTTP on this machine: one in memory with faults on demand, and one that disturbs another server.

The one in memory speaks what the clients need of Amazon S3, Google Cloud Storage (XML) and Azure Blob Storage: put
with a condition, get with a range, head, list, delete. It checks no signatures.
"""

from __future__ import annotations

import http.client
import re
import socket
import threading
import time
from collections import Counter, deque
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

_WHEN = "Wed, 21 Oct 2026 07:28:00 GMT"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        pass

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self, code: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def error(self, code: int, name: str) -> None:
        self.answer(
            code, f"<Error><Code>{name}</Code><Message>fake</Message></Error>".encode(), x_ms_error_code=name
        )

    def cut(self) -> None:
        """Close the connection without an answer."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


class _Memory(_Handler):
    objects: ClassVar[dict[str, bytes]]
    faults: ClassVar[deque[Any]]
    requests: ClassVar[list[str]]
    signatures: ClassVar[list[str]]
    lock: ClassVar[threading.Lock]

    def handle_request(self) -> None:
        body, parts = self.body(), urlsplit(self.path)
        key, query = unquote(parts.path), parse_qs(parts.query)
        self.requests.append(self.command)
        self.signatures.append(self.headers.get("Authorization", ""))
        wanted = self.faults and (self.faults[0] != "409" or self.command == "PUT")
        fault = self.faults.popleft() if wanted else ""
        if isinstance(fault, threading.Event):
            fault.wait(30)
        if fault == "500":
            return self.error(500, "InternalError")
        if fault == "409":
            return self.error(409, "ConditionalRequestConflict")
        if fault == "403":
            return self.error(403, "AccessDenied")
        if fault == "other region, 301":
            return self.error(301, "PermanentRedirect")
        if fault == "other region, 400":
            return self.error(400, "AuthorizationHeaderMalformed")
        if fault == "cut":
            return self.cut()
        with self.lock:
            code, answer, headers = self.carry_out(key, query, body)
        if fault == "done, 500":
            return self.error(500, "InternalError")
        if fault == "done, cut":
            return self.cut()
        if fault == "half":
            self.send_response(code)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer[: len(answer) // 2])
            return self.cut()
        return self.answer(code, answer, **headers)

    do_GET = do_HEAD = do_PUT = do_DELETE = do_POST = handle_request

    def carry_out(self, key: str, query: dict, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        azure = "x-ms-version" in self.headers
        stamps = {"ETag": '"1"', "Last_Modified": _WHEN}
        if self.command == "PUT":
            new = self.headers.get("If-None-Match") == "*" or "x-goog-if-generation-match" in self.headers
            if new and key in self.objects:
                return 409 if azure else 412, b"", {"x_ms_error_code": "BlobAlreadyExists"} if azure else {}
            self.objects[key] = body
            return (201 if azure else 200), b"", stamps
        if self.command == "GET" and ("list-type" in query or query.get("comp") == ["list"]):
            return 200, self.listing(key, query.get("prefix", [""])[0], "comp" in query), {}
        if self.command == "POST":
            return self.batch(body)
        if key not in self.objects:
            return 404, b"<Error><Code>NoSuchKey</Code></Error>", {}
        if self.command == "DELETE":
            del self.objects[key]
            return (202 if azure else 204), b"", {}
        data = self.objects[key]
        if span := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")):
            start, stop = int(span[1]), min(int(span[2]) + 1, len(data))
            return (
                206,
                data[start:stop],
                {**stamps, "Content_Range": f"bytes {start}-{stop - 1}/{len(data)}"},
            )
        return 200, data, stamps

    def batch(self, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        """Azure's way to delete: requests as the parts of one body, answers likewise."""
        parts = []
        for number, path in enumerate(re.findall(r"DELETE (\S+) HTTP/1.1", body.decode())):
            code = "404 Not Found" if self.objects.pop(unquote(path), None) is None else "202 Accepted"
            parts.append(
                f"--answers\r\nContent-Type: application/http\r\nContent-ID: {number}\r\n\r\nHTTP/1.1 {code}\r\n\r\n"
            )
        return (
            202,
            f"{''.join(parts)}--answers--".encode(),
            {"Content_Type": "multipart/mixed; boundary=answers"},
        )

    def listing(self, bucket: str, prefix: str, azure: bool) -> bytes:
        start = f"{bucket.rstrip('/')}/"
        found = sorted(
            (k.removeprefix(start), len(v)) for k, v in self.objects.items() if k.startswith(start)
        )
        found = [(name, size) for name, size in found if name.startswith(prefix)]
        if azure:
            blobs = "".join(
                f"<Blob><Name>{name}</Name><Properties><Last-Modified>{_WHEN}</Last-Modified><Etag>1</Etag>"
                f"<Content-Length>{size}</Content-Length><Content-Type>x</Content-Type></Properties></Blob>"
                for name, size in found
            )
            return f"<EnumerationResults><Blobs>{blobs}</Blobs><NextMarker/></EnumerationResults>".encode()
        contents = "".join(
            f"<Contents><Key>{name}</Key><Size>{size}</Size><ETag>1</ETag>"
            "<LastModified>2026-10-21T07:28:00.000Z</LastModified></Contents>"
            for name, size in found
        )
        return f"<ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>".encode()


@contextmanager
def _serving(handler: type[_Handler]) -> Iterator[str]:
    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *arguments: object) -> None:
            pass  # a client that has gone away, as the tests want it

    running = Quiet(("127.0.0.1", 0), handler)
    # Answers of two pieces would else wait for each other (Nagle and delayed acknowledgements), 40 ms a request.
    running.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_port}"
    finally:
        running.shutdown()
        running.server_close()


@contextmanager
def memory_server() -> Iterator[tuple[str, type[_Memory]]]:
    """Yields its address, and a class: `objects`, `faults` (one for each request to come), `requests`, `signatures`.

    Faults: "500", "409" (to the next put), "403", "cut", "other region, 301" and "other region, 400"; "done, 500" and
    "done, cut" after the request was carried out; "half" of an answer; or an event that the answer waits for.
    """
    handler = type(
        "Memory",
        (_Memory,),
        {
            "objects": {},
            "faults": deque(),
            "requests": [],
            "signatures": [],
            "lock": threading.Lock(),
            "wbufsize": 2**16,
        },
    )
    with _serving(handler) as address:
        yield address, handler


class Disturbance:
    """What a disturbed server does to a `share` of its answers, drawn from `chance`; `done` counts."""

    def __init__(self, chance: random.Random):
        self.chance, self.share = chance, 0.0
        self.done: Counter[str] = Counter()


@contextmanager
def disturbed_server(upstream: str, disturbance: Disturbance) -> Iterator[str]:
    """The address of a server that hands requests on to another, and answers some late, or with 500 before or after."""
    target = urlsplit(upstream).netloc

    class Proxy(_Handler):
        wbufsize = 2**16

        def handle_request(self) -> None:
            body = self.body()
            draw = disturbance.chance.random() / max(disturbance.share, 1e-9)
            if draw < 0.4:
                disturbance.done["500, nothing done"] += 1
                return self.error(500, "InternalError")
            there = http.client.HTTPConnection(target, timeout=60)
            there.request(self.command, self.path, body, dict(self.headers))
            answer = there.getresponse()
            content = answer.read()
            there.close()
            if draw < 0.8:
                disturbance.done["500, but it was done"] += 1
                return self.error(500, "InternalError")
            if draw < 1:
                disturbance.done["slow"] += 1
                time.sleep(0.02)
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in (
                    "connection",
                    "transfer-encoding",
                    "date",
                    "server",
                    "content-length",
                ):
                    self.send_header(name, value)
            length = answer.getheader("Content-Length", "0") if self.command == "HEAD" else str(len(content))
            self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else content)
            return None

        do_GET = do_HEAD = do_PUT = do_DELETE = do_POST = handle_request

    with _serving(Proxy) as address:
        yield address
