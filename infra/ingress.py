"""The role `http`: what devices POST goes into the log, and is answered with 200 once the log has it durably.

Delivery: at least once into topic `raw`; what was answered otherwise, or not at all, is sent again by the device and told as a
copy. Parallelism: one process, one thread; many posts share one durable append, because the log commits all that have come
meanwhile. Back pressure: 8 MiB or 10,000 posts on their way into the log, then 503. Lost: nothing that was answered with 200.

Devices are told by a token, in the path (`/in/<token>/…`), as a bearer, or as the password of Basic. What stands behind it in
the path is the record's topic, `http/…`.
"""

import asyncio
import base64
import binascii
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from connectors.http_in import Call, Door, Limits
from connectors.log import RAW, LogError, LogFull, NewRecord, RecordRefused, Writer
from dashboards.web.tokens import Token, find
from infra.bridge import ArrivalClock, device_of, unreadable
from infra.say import say as spoken
from operators.images import LARGEST, strip
from schemas.sites import UNASSIGNED, Registry

OUT_BYTES, OUT_POSTS = 8 << 20, 10_000
"""On their way into the log at most; below what lets a writer block."""
TICK_S = 0.002
"""How often the log is asked for answers while posts wait: what it adds to an answer at most."""
PAUSE_S = 1.0
"""After a failure of the log nothing is handed over for this long."""
SCOPE = "send"


def say(line: str, level: str = "info") -> None:
    """One event of the role's log."""
    spoken("http", line, level)


@dataclass
class Stats:
    """What the role has done since its start; each number is a metric `footstream_http_<name>`."""

    posts: int = 0
    logged: int = 0
    failed: int = 0
    refused: int = 0
    empty: int = 0
    images: int = 0
    oversize: int = 0
    unrouted: int = 0
    poison: int = 0

    MEANING = {  # noqa: RUF012  # a plain class attribute, no field
        "posts": "whole requests that were let in",
        "logged": "posts that the log has",
        "failed": "posts that were answered with 503: the log did not take them",
        "refused": "posts that the log can never take",
        "empty": "posts without a body, such as a connection test",
        "images": "images removed from bodies",
        "oversize": "bodies above the largest size of a message, of which only head and hash are kept",
        "unrouted": "posts whose device could not be read",
        "poison": "posts that broke the role, of which only the hash is kept",
    }


class Ingress:
    """The owner of a door: lets in, makes records, answers when the log has answered. Everything runs in one loop."""

    def __init__(
        self,
        open_writer: Callable[[], Writer],
        registry: Registry,
        tokens: Sequence[Token] | None,
        limits: Limits = Limits(),  # noqa: B008  # a constant
        clock: Callable[[], int] | None = None,
        tell: Callable[[str], None] = say,
    ) -> None:
        self.stats, self.door = Stats(), Door(self, limits)
        self._open_writer, self._registry, self._tokens = open_writer, registry, tokens
        self._clock, self._tell = clock or ArrivalClock(), tell
        self._writer = open_writer()
        self._answers: deque[tuple[Call, int, Exception | None]] = deque()
        self._out = self._out_bytes = 0
        self._ticking = self._reopening = False
        self._trouble: Exception | None = None
        self._again_at = 0.0
        self._known: dict[str, bool] = {}  # digests of tokens take time; those of a fleet are few

    # -- the door's owner

    def admit(self, method: str, target: str, authorization: str) -> str | int:
        """See `Owner.admit`."""
        path, _, _ = target.partition("?")
        words = [word for word in path.split("/") if word]
        if words[:1] != ["in"]:
            return 404
        rest = words[1:]
        if self._tokens is not None:
            given = _given(authorization)
            if not given and rest:
                given, rest = rest[0], rest[1:]
            if not self._may(given):
                return 401
        return "/".join(["http", *rest])[:256] if method in ("POST", "PUT", "GET", "HEAD") else 405

    def _may(self, token: str) -> bool:
        found = self._known.get(token)
        if found is None:
            known = find(self._tokens or (), f"Bearer {token}")
            found = known is not None and SCOPE in known.scopes
            if found:
                self._known[token] = True
        return found

    def take(self, call: Call, topic: str, body: bytes) -> None:
        """See `Owner.take`."""
        self.stats.posts += 1
        if not body.strip():
            self.stats.empty += 1
            call.answer(200)
            return
        if self._closed():
            self.stats.failed += 1
            call.answer(503)
            return
        record = self._recorded(topic, body)
        size = len(record.value)
        self._out += 1
        self._out_bytes += size
        try:
            self._writer.append(RAW, record, partial(self._answered, call, size))
        except LogError as error:
            self._answered(call, size, error)
        if not self._ticking:
            self._ticking = True
            asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _closed(self) -> bool:
        """Whether the log takes nothing just now. After a failure one post in a pause tries it."""
        if self._out >= OUT_POSTS or self._out_bytes >= OUT_BYTES or self._reopening:
            return True
        if self._trouble is None:
            return False
        now = time.monotonic()
        if now < self._again_at:
            return True
        self._again_at = now + PAUSE_S
        return False

    # -- records

    def _recorded(self, topic: str, body: bytes) -> NewRecord:
        arrival = self._clock()
        headers = (("topic", topic.encode()), ("source", b"http"))
        otherwise = f"{UNASSIGNED}topic-{blake2b(topic.encode(), digest_size=8).hexdigest()}"
        try:
            value, images = strip(body)
            self.stats.images += images
            self.stats.oversize += len(body) > LARGEST
            return NewRecord(self._key(value, otherwise, arrival), value, arrival, headers)
        except Exception as error:  # a fault of ours must not make a device send for ever; the body may hold an image
            self.stats.poison += 1
            self._tell(f"a post to {topic!r} broke this role: {error!r}; its hash is kept")
            return NewRecord(otherwise, unreadable(body, error), arrival, headers)

    def _key(self, value: bytes, otherwise: str, arrival: int) -> str:
        device = device_of(value)
        if device is None:
            self.stats.unrouted += 1
            return otherwise
        return self._registry.find(device, arrival / 1000)[0].id.encode("utf-8", "replace").decode()

    # -- answers

    def _answered(self, call: Call, size: int, error: Exception | None) -> None:
        """The log has the record, or says why not. Runs in any thread: the next tick answers."""
        self._answers.append((call, size, error))

    def _tick(self) -> None:
        try:
            self._writer.poll(0)
            while self._answers:
                call, size, refused = self._answers.popleft()
                self._out -= 1
                self._out_bytes -= size
                call.answer(self._status(refused))
        except LogError as error:
            self._troubled(error)
        finally:  # whatever happens: without a next tick nobody would be answered any more
            self._tick_again()

    def _tick_again(self) -> None:
        loop = asyncio.get_running_loop()
        self._ticking = self._out > 0
        if self._ticking:
            loop.call_later(TICK_S, self._tick)
        elif self._trouble is not None and not isinstance(self._trouble, LogFull) and not self._reopening:
            self._reopening = True
            loop.run_in_executor(None, self._reopen)

    def _status(self, error: Exception | None) -> int:
        if error is None:
            self.stats.logged += 1
            if self._trouble is not None:
                self._trouble = None
                self._tell("the log takes posts again")
            return 200
        if isinstance(error, RecordRefused):
            self.stats.refused += 1
            self._tell(f"a post is left out for good: {error}")
            return 422
        self.stats.failed += 1
        self._troubled(error)
        return 503

    def _troubled(self, error: Exception) -> None:
        if self._trouble is None:
            self._tell(f"{error}; posts are answered with 503 and come again")
        self._trouble, self._again_at = error, time.monotonic() + PAUSE_S

    def _reopen(self) -> None:
        """A writer that failed for another reason than room may be dead. Not in the loop: closing may wait."""
        try:
            self._writer.close()
            self._writer = self._open_writer()
        except LogError:  # the closed one refuses again, and says why
            pass
        finally:
            self._reopening = False

    async def close(self) -> None:
        """Let no one in, answer what is on its way, close the log."""
        await self.door.close()
        await asyncio.get_running_loop().run_in_executor(None, self._writer.close)

    # -- looking at it

    def health(self) -> dict[str, Any]:
        """What the role says of itself at `/health`."""
        return {
            "ok": self._trouble is None,
            "log": "ok" if self._trouble is None else str(self._trouble),
            "posts": self.stats.posts,
            "logged": self.stats.logged,
            "waiting": self._out,
            "connections": len(self.door.connections),
        }

    def collect(self) -> Iterable[Metric]:
        """The metrics, for a prometheus registry."""
        for name, meaning in Stats.MEANING.items():
            yield CounterMetricFamily(f"footstream_http_{name}", meaning, value=getattr(self.stats, name))
        answers = CounterMetricFamily("footstream_http_answers", "answers by status", labels=["status"])
        for status, times in sorted(dict(self.door.answers).items()):
            answers.add_metric([str(status)], times)
        yield answers
        yield CounterMetricFamily("footstream_http_dropped", "connections ended to make room", value=self.door.dropped)
        yield GaugeMetricFamily("footstream_http_connections", "connections", value=len(self.door.connections))
        yield GaugeMetricFamily("footstream_http_waiting", "posts on their way into the log", value=self._out)
        yield GaugeMetricFamily("footstream_http_held_bytes", "bodies that are not answered yet", value=self.door.held)


def _given(authorization: str) -> str:
    """The token of an Authorization header: a bearer, or the password of Basic."""
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return given.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(given, validate=True).decode("latin-1").partition(":")[2]
    except (binascii.Error, ValueError):
        return ""


__all__ = ["Ingress", "Stats"]
