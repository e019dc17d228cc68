"""Sockets and HTTP of the store: a thread a connection, at most `CONNECTIONS` of them."""

import json
import re
import socket
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from infra import store_http as wire
from infra.errors import Problem
from infra.store_engine import EngineError
from infra.store_guard import Account

if TYPE_CHECKING:
    from infra.store_server import StoreServer

CONNECTIONS = 128
IDLE_S = 120.0  # a kept-alive connection without a request


def first_line(error: object) -> str:
    """An error in one line."""
    return " ".join(str(error).split())[:300]


class _Http(HTTPServer):
    """A thread a connection, counted."""

    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], store: "StoreServer") -> None:
        self.store, self.stopping = store, False
        self._open: dict[threading.Thread, socket.socket] = {}
        self.busy: set[threading.Thread] = set()
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            full = len(self._open) >= CONNECTIONS
        if full or self.stopping:
            request.close()  # the client tries again; answering would need the thread that we do not have
            return
        thread = threading.Thread(target=self._serve, args=(request, client_address), daemon=True)
        with self._lock:
            self._open[thread] = request
            self.store.metrics.connections.set(len(self._open))
        thread.start()

    def _serve(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except (OSError, ValueError):
            pass  # the client went away
        finally:
            self.shutdown_request(request)
            with self._lock:
                self._open.pop(threading.current_thread(), None)
                self.store.metrics.connections.set(len(self._open))

    def finish(self, seconds: float) -> None:
        """Wait for the requests that run, then drop the connections."""
        end = time.monotonic() + seconds
        while self.busy and time.monotonic() < end:
            for thread in list(self.busy):
                thread.join(0.02)
        for thread, connection in list(self._open.items()):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
            thread.join(max(0.0, end - time.monotonic()))


class _Http6(_Http):
    address_family = socket.AF_INET6


def listen(host: str, port: int, store: "StoreServer") -> _Http:
    """A listening server. Raises Problem when the address is taken or not ours."""
    try:
        return (_Http6 if ":" in host else _Http)((host, port), store)
    except OSError as error:
        raise Problem(
            f"store: cannot listen on {host}:{port}: {error.strerror}; stop what listens there, or set FOOTSTREAM_STORE_PORT"
        ) from None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    disable_nagle_algorithm = True  # 49 ms a query without it: the peer delays its acknowledgement
    wbufsize = 1 << 16
    server: _Http

    def do_GET(self) -> None:
        place = urlsplit(self.path)
        if place.path == "/ping" or (place.path == "/" and not place.query):
            self._reply(200, "text/plain; charset=UTF-8", b"Ok.\n")
        elif place.path == "/health":
            self._health()
        elif place.path == "/metrics":
            self._reply(200, CONTENT_TYPE_LATEST, generate_latest(self.server.store.metrics.registry))
        else:
            self._statement(post=False)

    def do_HEAD(self) -> None:
        self._reply(200, "text/plain; charset=UTF-8", b"")

    def do_POST(self) -> None:
        self._statement(post=True)

    def _health(self) -> None:
        try:
            status, said = 200, self.server.store.health()
        except EngineError as error:
            status, said = 503, {"ok": False, "error": first_line(error)}
        self._reply(status, "application/json", json.dumps(said).encode() + b"\n")

    def _statement(self, post: bool) -> None:
        thread, query, headers = threading.current_thread(), urlsplit(self.path).query, cast(Mapping[str, str], self.headers)
        self.server.busy.add(thread)
        try:
            if not self._host_allowed():
                self.close_connection = True  # the body is not read
                self._reply(403, "text/plain", b"this name is not known here; use the address\n")
                return
            account = self._account(query, headers)
            answer, request = self.server.store.answer(account, query, headers, self._body(), post)
        except EngineError as error:
            self._error(error)
        else:
            self._result(answer, request)
        finally:
            self.server.busy.discard(thread)

    def _account(self, query: str, headers: Mapping[str, str]) -> Account:
        """Before the body: a stranger's is not read, unless it is small."""
        try:
            return self.server.store.account(query, headers)
        except EngineError:
            length = self.headers.get("Content-Length") or "0"
            if length.isdecimal() and int(length) <= 1 << 16 and "Transfer-Encoding" not in self.headers:
                self.rfile.read(int(length))
            else:
                self.close_connection = True
            raise

    def _host_allowed(self) -> bool:
        """A page of some web site must not reach a loopback store under a name of its own (DNS rebinding)."""
        if not self.server.store.host.startswith("127.") and self.server.store.host not in ("localhost", "::1"):
            return True
        name = re.sub(r":\d+$", "", self.headers.get("Host", "localhost")).strip("[]").lower()
        return name in ("localhost", "::1") or name.startswith("127.")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return self._chunks()
        length = self.headers.get("Content-Length") or "0"
        if not length.isdecimal() or int(length) > wire.MOST_BYTES:
            self.close_connection = True
            raise wire.too_large()
        return self._exactly(int(length))

    def _chunks(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            line = self.rfile.readline(64).partition(b";")[0].strip()
            try:
                length = int(line, 16)
            except ValueError:
                self.close_connection = True
                raise EngineError("Code: 33. DB::Exception: chunk without a length. (CANNOT_READ_ALL_DATA)", 33) from None
            size += length
            if size > wire.MOST_BYTES or length < 0:
                self.close_connection = True
                raise wire.too_large()
            if not length:
                while self.rfile.readline(1024).strip():
                    continue
                return b"".join(parts)
            parts.append(self._exactly(length))
            self.rfile.readline(8)

    def _exactly(self, length: int) -> bytes:
        """The bytes that were promised: half an insert must not count."""
        found = self.rfile.read(length)
        if len(found) < length:
            self.close_connection = True
            raise EngineError("Code: 33. DB::Exception: the body ends too early. (CANNOT_READ_ALL_DATA)", 33)
        return found

    def _result(self, answer: bytes, request: wire.Request) -> None:
        encoding = ""
        if request.compress or ("gzip" in self.headers.get("Accept-Encoding", "") and request.protocol):
            answer, encoding = wire.packed(answer, self.headers.get("Accept-Encoding", ""))
        kind = wire.KINDS.get(request.format, "text/plain; charset=UTF-8")
        extra = {
            "X-ClickHouse-Format": request.format,
            "X-ClickHouse-Timezone": "UTC",
            "X-ClickHouse-Server-Display-Name": "footstream",
        }
        if request.query_id and request.query_id.isprintable():
            extra["X-ClickHouse-Query-Id"] = request.query_id.encode("latin-1", "replace").decode("latin-1")
        if encoding:
            extra["Content-Encoding"] = encoding
        self._reply(200, kind, answer, extra)

    def _error(self, error: EngineError) -> None:
        extra = {"X-ClickHouse-Exception-Code": str(error.code or 1001)}
        if error.code == 516:
            extra["WWW-Authenticate"] = 'Basic realm="footstream store"'
        self._reply(
            wire.STATUS.get(error.code, 500), "text/plain; charset=UTF-8", f"{error}\n".encode("utf-8", "replace"), extra
        )

    def _reply(self, status: int, kind: str, body: bytes, extra: Mapping[str, str] | None = None) -> None:
        if self.server.stopping:
            self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def version_string(self) -> str:
        return "footstream"

    def log_message(self, *_: Any) -> None:
        """Requests are counted in the metrics; a line each would bury everything else."""
