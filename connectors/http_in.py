"""A door for devices that POST: HTTP/1.1 (httptools) on asyncio, which says yes only when its owner does.

Delivery: none of its own; a request is answered when `Call.answer` is called, and whoever hears no answer sends again.
Parallelism: one thread, one request at a time on a connection. Back pressure: at most `Limits.held_bytes` of bodies are held,
then 503. Lost: nothing that was answered with 200.

No client may harm another: a request must be whole within `Limits.request_s`, its head below 16 KiB and its body below
`Limits.body_bytes`, which is checked before the body is read; when all connections are in use, the one goes that has said
nothing for longest. Who is refused is answered, and gets two seconds to read it.
"""

import asyncio
import ssl
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import httptools

HEAD_BYTES = 16 * 1024
RAW_SHARE = 8
"""A request may come as so many times the bytes of the largest body: chunks of single bytes have six times as many."""
LINGER_S = 2.0
"""How long what a refused client still sends is thrown away, so that it can read the refusal."""
_SAID = {
    200: ("OK", '{"ok": true}'),
    400: ("Bad Request", '{"error": "this is not HTTP as it should be"}'),
    401: ("Unauthorized", '{"error": "a token is needed: in the path or as Authorization"}'),
    404: ("Not Found", '{"error": "nothing is here; POST to /in"}'),
    405: ("Method Not Allowed", '{"error": "POST to this address"}'),
    408: ("Request Timeout", '{"error": "the request was not whole in time"}'),
    413: ("Content Too Large", '{"error": "the body is too large"}'),
    415: ("Unsupported Media Type", '{"error": "send the body as it is, without Content-Encoding"}'),
    422: ("Unprocessable Content", '{"error": "this can never be taken"}'),
    431: ("Request Header Fields Too Large", '{"error": "the headers are too large"}'),
    501: ("Not Implemented", '{"error": "no upgrade is taken up; speak plain HTTP/1.1"}'),
    503: ("Service Unavailable", '{"error": "nothing is taken just now; send it again"}'),
}
_MORE = {
    401: 'WWW-Authenticate: Basic realm="footstream"\r\n',
    405: "Allow: POST, PUT, GET, HEAD\r\n",
    503: "Retry-After: 5\r\n",
}


def _answer(status: int, close: bool) -> bytes:
    words, text = _SAID[status]
    more = _MORE.get(status, "") + ("Connection: close\r\n" if close else "")
    head = f"HTTP/1.1 {status} {words}\r\nContent-Type: application/json\r\nContent-Length: {len(text) + 1}\r\n{more}\r\n"
    return (head + text + "\n").encode()


ANSWERS = {(status, close): _answer(status, close) for status in _SAID for close in (False, True)}
"""Every answer that is ever given, by status and whether the connection ends with it."""
State = Literal["idle", "reading", "waiting", "closing"]


@dataclass(frozen=True)
class Limits:
    """What a client may cost. Seconds and bytes."""

    body_bytes: int = 1 << 20
    held_bytes: int = 64 << 20
    connections: int = 2000
    request_s: float = 20.0
    idle_s: float = 90.0
    answer_s: float = 30.0


class Owner(Protocol):
    """Who decides. All of it runs in the door's loop."""

    def admit(self, method: str, target: str, authorization: str) -> str | int:
        """Before the body is read: the topic of a request that may come in, or the status with which it is refused."""

    def take(self, call: "Call", topic: str, body: bytes) -> None:
        """A whole request; `call.answer(status)` ends it, now or later."""


class Call:
    """One request that waits for its answer."""

    __slots__ = ("_connection",)

    def __init__(self, connection: "_Connection") -> None:
        self._connection: _Connection | None = connection

    def answer(self, status: int) -> None:
        """Answer, once; later calls and clients that have gone are no matter. Call in the door's loop."""
        connection, self._connection = self._connection, None
        if connection is not None and connection.call is self:
            connection.answer(status)


class Door:
    """Listens until `close`. `answers`: by status, how often; `dropped`: connections that were ended to make room."""

    def __init__(self, owner: Owner, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.owner, self.limits, self.clock = owner, limits, clock
        self.connections: set[_Connection] = set()
        self.answers: Counter[int] = Counter()
        self.held = self.dropped = 0
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    async def open(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Listen; returns the port. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), host, port, backlog=1024, ssl=tls)
        self._sweeper = asyncio.create_task(self._sweep())
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self, seconds: float = 5.0) -> None:
        """Take no new connection, let what is being answered be answered, end the rest."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            if connection.state == "idle":
                connection.end()
        until = self.clock() + seconds
        while any(one.state in ("reading", "waiting") for one in self.connections) and self.clock() < until:
            await asyncio.sleep(0.01)
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self.connections):
            connection.abort()

    def make_room(self) -> bool:
        """End the connection that has been idle, or else reading, for longest. False when all wait for their answer."""
        if len(self.connections) < self.limits.connections:
            return True
        kinds: tuple[State, ...] = ("closing", "idle", "reading")
        for kind in kinds:
            oldest = min((one for one in self.connections if one.state == kind), key=lambda one: one.since, default=None)
            if oldest is not None:
                self.dropped += 1
                self.connections.discard(oldest)
                oldest.abort()
                return True
        return False

    async def _sweep(self) -> None:
        """Once a second: end what takes too long."""
        limits = self.limits
        while True:
            await asyncio.sleep(min(1.0, limits.request_s / 4))
            now = self.clock()
            for one in list(self.connections):
                age = now - one.since
                if one.state == "reading" and age > limits.request_s:
                    one.refuse(408)
                elif one.state == "waiting" and age > limits.answer_s:
                    one.answer(503)
                elif one.state == "idle" and age > limits.idle_s:
                    one.end()
                elif one.state == "closing" and age > LINGER_S:
                    one.abort()


class _Whole(NamedTuple):
    """A request that was read to its end."""

    topic: str
    body: bytes
    keep: bool
    head_only: bool


class _Connection(asyncio.Protocol):
    """One client. `since`: when the state began; while reading: when the request began."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.state: State = "idle"
        self.since = door.clock()
        self.call: Call | None = None
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._wholes: deque[_Whole] = deque()  # read; the first one waits for its answer
        self._ended = False  # the client has closed its side
        self._refused = 0
        self._in_head, self._head_bytes = True, 0
        self._begun, self._raw = False, 0
        self._begin()

    def _begin(self) -> None:
        self._target = b""
        self._authorization = self._encoding = self._expect = b""
        self._length = 0
        self._topic = ""
        self._body = bytearray()

    # -- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        room = self.door.make_room()
        self.door.connections.add(self)
        if not room:
            self.refuse(503)

    def connection_lost(self, exc: Exception | None) -> None:
        self.door.connections.discard(self)
        self._transport = self.call = None
        self._enter("closing")
        self._drop()

    def data_received(self, data: bytes) -> None:
        if self.state == "closing":
            return
        if self.state == "idle":
            self._enter("reading")
        self._feed(data)
        if self.state == "reading":
            self._go_on()
        elif self._transport is not None:
            self._transport.pause_reading()  # it sends more while one request waits: the rest waits outside

    def _feed(self, data: bytes) -> None:
        """Give the parser what has come."""
        self._raw += len(data)
        if self._in_head:
            self._head_bytes += len(data)
        wholes = len(self._wholes)
        try:
            if not self._refused:
                self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # found in the head, and refused there
            return
        except httptools.HttpParserError:
            self._refused = 400
        if self._in_head and self._head_bytes > HEAD_BYTES:
            self._refused = self._refused or 431
        if len(self._wholes) > wholes:
            self._raw = 0  # of the request that is being read
        elif self._raw > RAW_SHARE * self.door.limits.body_bytes + HEAD_BYTES:
            self._refused = self._refused or 413

    def eof_received(self) -> bool:
        """Somebody may close his side and still read."""
        self._ended = True
        if self.state in ("idle", "reading"):
            self.end()
        return self.state == "waiting"

    # -- what the parser calls, several requests in one go if they came so

    def on_message_begin(self) -> None:
        self._begin()
        self._begun = True

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        match name.lower():
            case b"authorization":
                self._authorization = value
            case b"content-encoding":
                self._encoding = value
            case b"content-length":
                self._length = int(value)  # the parser lets only digits through
            case b"expect":
                self._expect = value

    def on_headers_complete(self) -> None:
        self._in_head, self._head_bytes = False, 0
        if self._refused:
            return
        if self._parser.should_upgrade():  # its body would not be read
            self._refused = 501
            return
        method = self._parser.get_method().decode("ascii", "replace")
        target, said = self._target.decode("latin-1"), self._authorization.decode("latin-1")
        admitted = self.door.owner.admit(method, target, said)
        if isinstance(admitted, int):
            self._refused = admitted
        elif self._encoding.lower() not in (b"", b"identity"):
            self._refused = 415
        elif self._length > self.door.limits.body_bytes:
            self._refused = 413
        else:
            self._topic = admitted
            if self._expect.lower() == b"100-continue" and self._transport is not None:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        if self._refused:
            return
        self._body += data
        self.door.held += len(data)
        if len(self._body) > self.door.limits.body_bytes:
            self._refused = 413
        elif self.door.held > self.door.limits.held_bytes:
            self._refused = 503

    def on_message_complete(self) -> None:
        self._in_head, self._head_bytes, self._begun = True, 0, False
        if self._refused:
            return
        keep, head_only = self._parser.should_keep_alive(), self._parser.get_method() == b"HEAD"
        self._wholes.append(_Whole(self._topic, bytes(self._body), keep, head_only))
        self._body = bytearray()

    # -- one request after the other

    def _enter(self, state: State) -> None:
        self.state, self.since = state, self.door.clock()

    def _go_on(self) -> None:
        """Take the next request that is whole; then what was refused."""
        if self.state != "reading":
            return
        if self._wholes:
            self._enter("waiting")
            self.call = Call(self)
            self.door.owner.take(self.call, self._wholes[0].topic, self._wholes[0].body)
        elif self._refused:
            self.refuse(self._refused)

    def answer(self, status: int) -> None:
        """Answer the request that waits, and go on with the next one."""
        self.call = None
        whole = self._wholes.popleft()
        self.door.held -= len(whole.body)
        close = not whole.keep or (self._ended and not self._wholes)
        self._write(status, close, whole.head_only)
        if close or self._transport is None:
            self._linger()
        elif self._wholes or self._refused:
            self._enter("reading")
            asyncio.get_running_loop().call_soon(self._go_on)
        else:
            self._enter("reading" if self._begun else "idle")
            self._transport.resume_reading()

    def refuse(self, status: int) -> None:
        """Answer a request that is not read to its end, and close."""
        self._write(status, close=True)
        self._linger()

    def _write(self, status: int, close: bool, head_only: bool = False) -> None:
        self.door.answers[status] += 1
        if self._transport is not None:
            said = ANSWERS[status, close]
            self._transport.write(said[: said.index(b"\r\n\r\n") + 4] if head_only else said)

    def _drop(self) -> None:
        self.door.held -= len(self._body) + sum(len(whole.body) for whole in self._wholes)
        self._body = bytearray()
        self._wholes.clear()

    def _linger(self) -> None:
        """Close our side; what the client still sends is thrown away until it closes its own, for a while at most."""
        self._enter("closing")
        self._drop()
        if self._transport is not None:
            if self._transport.can_write_eof() and not self._ended:
                self._transport.write_eof()
                self._transport.resume_reading()
            else:
                self._transport.close()

    def end(self) -> None:
        """Close when everything has been sent."""
        self._enter("closing")
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._enter("closing")
        if self._transport is not None:
            self._transport.abort()


__all__ = ["Call", "Door", "Limits", "Owner"]
