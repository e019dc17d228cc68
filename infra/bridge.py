"""The bridge: from an MQTT broker to the log, acknowledging only what the log has.

Delivery: at least once into topic `raw`; a disturbance repeats at most what was unacknowledged. Parallelism: one process a
session, several sessions by slices of the topics; the network thread receives, the main thread strips and appends. Back
pressure: 32 MiB are received and not yet in the log at most, then the broker holds the rest; a log that is full or away stops
everything until it takes records again. Lost: nothing that the broker gave us.

Every message that was received ends as logged, refused (by the log, for good) or elsewhere (of another slice), or waits.
"""

import json
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache, partial
from hashlib import blake2b
from typing import Any, NamedTuple

from prometheus_client.core import Metric

from connectors.log import RAW, LogError, LogFull, NewRecord, RecordRefused, Writer
from connectors.mqtt import Message, Subscriber, Subscription
from infra.bridge_metrics import Oldest, Stats, metrics
from infra.say import say as spoken
from operators.images import LARGEST, strip
from schemas.events import Plain
from schemas.sensors import read
from schemas.sites import UNASSIGNED, Registry

WAITING_BYTES = 32 << 20
ITEM_BYTES = 1024  # what a waiting message takes beside its payload and topic
TOPICS = 65_536  # whose headers and slice are remembered
RETRY_S = (0.25, 5.0)


def say(line: str, level: str = "info") -> None:
    """One event of the role's log."""
    spoken("bridge", line, level)


def device_of(payload: bytes) -> str | None:
    """Device that a payload names, as ingest finds it; None when it cannot be read."""
    found = read(payload)
    if isinstance(found, Plain):
        return found.device or None
    return next((report.device for report in found if report.device), None)


def unreadable(payload: bytes, error: Exception) -> bytes:
    """What is kept of a payload that broke us: it may hold an image that was not cut out."""
    digest = blake2b(payload, digest_size=16).hexdigest()
    return json.dumps({"unreadable": {"size": len(payload), "blake2b": digest, "error": type(error).__name__}}).encode()


class Slice(NamedTuple):
    """The topics that one of several bridges takes: those with hash mod `of` = `number`. A topic always has the same one."""

    number: int = 0
    of: int = 1

    def takes(self, topic: bytes) -> bool:
        return self.of == 1 or int.from_bytes(blake2b(topic, digest_size=8).digest(), "big") % self.of == self.number

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


class _Topic(NamedTuple):
    """What follows from a topic: taken or of another slice, the key of what cannot be read, and headers plain and retained."""

    ours: bool
    key: str
    headers: tuple[tuple[str, bytes], ...]
    retained: tuple[tuple[str, bytes], ...]


def _topic(which: Slice, topic: bytes) -> _Topic:
    text = topic.decode("utf-8", "replace").encode()  # brokers let no other through; a header is always text
    headers = (("topic", text), ("source", b"mqtt"))
    key = f"{UNASSIGNED}topic-{blake2b(topic, digest_size=8).hexdigest()}"
    return _Topic(which.takes(topic), key, headers, (*headers, ("retain", b"1")))


class ArrivalClock:
    """Epoch milliseconds that never go back, whatever the machine's clock does."""

    def __init__(self, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._now_ms, self._last = now_ms, 0

    def __call__(self) -> int:
        self._last = max(self._last, self._now_ms())
        return self._last


class _Inbox:
    """What was received and not yet appended, in lists with their arrival. Bounded by the bytes that are not in the log yet."""

    def __init__(self, most: int) -> None:
        self._most, self._put, self._released = most, 0, 0
        self._lists: deque[tuple[list[Message], int]] = deque()
        self._changed = threading.Condition()
        self.closed = False

    def put(self, messages: list[Message], arrival_ms: int) -> bool:
        """Wait for room, then take the messages; False once closed."""
        with self._changed:
            while self.held > self._most and not self.closed:
                self._changed.wait(0.05)
            if self.closed:
                return False
            self._lists.append((messages, arrival_ms))
            self._put += sum(map(size_of, messages))
            self._changed.notify_all()
            return True

    def take(self, seconds: float) -> tuple[list[Message], int]:
        """The oldest list and its arrival; waits for it. An empty one when there is none."""
        with self._changed:
            if not self._lists and seconds > 0:
                self._changed.wait(seconds)
            return self._lists.popleft() if self._lists else ([], 0)

    def released(self, size: int) -> None:
        """So many bytes are in the log, or never will be. From one thread only."""
        self._released += size

    @property
    def held(self) -> int:
        """Bytes that are received and not yet in the log."""
        return self._put - self._released

    def close(self) -> None:
        with self._changed:
            self.closed = True
            self._changed.notify_all()


def size_of(message: Message) -> int:
    """Bytes of memory, about: empty messages take room, too."""
    return len(message.payload) + len(message.topic) + ITEM_BYTES


class Bridge:
    """Connects one MQTT session with one writer of the log. `run()` works in the calling thread until `stop()`."""

    def __init__(
        self,
        subscription: Subscription,
        open_writer: Callable[[], Writer],
        registry: Registry,
        clock: Callable[[], int] | None = None,
        tell: Callable[[str], None] = say,
        which: Slice = Slice(),  # noqa: B008  # a constant
    ) -> None:
        self.stats, self.slice, self._oldest = Stats(), which, Oldest()
        self._topic: Callable[[bytes], _Topic] = lru_cache(TOPICS)(partial(_topic, which))
        self._open_writer, self._registry, self._tell = open_writer, registry, tell
        self._clock = clock or ArrivalClock()
        self._inbox = _Inbox(WAITING_BYTES)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._handed = self._answers = 0  # records given to the writer, and its answers other than `logged`
        self._failed: list[tuple[Message, NewRecord]] = []
        self._trouble: Exception | None = None
        self._troubled = ""
        self._pause = RETRY_S[0]
        self.subscriber = self._subscriber(subscription)

    def _subscriber(self, subscription: Subscription) -> Subscriber:
        return Subscriber(subscription, self._received, self._tell, self._stop.set)

    def stop(self) -> None:
        """Ask `run` to end: nothing more is taken, what was taken is written and acknowledged. Safe in a signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Bridge until asked to stop. Raises MqttError when the broker refuses us for good, LogError when no writer opens."""
        self._writer = self._open_writer()
        try:
            self.subscriber.start()
            while not self._stop.is_set():
                self._step()
        finally:
            self._end()
        if self.subscriber.failure is not None:
            raise self.subscriber.failure

    # -- network thread

    def _received(self, messages: list[Message]) -> None:
        arrival_ms = self._clock()
        if not self._stop.is_set() and self._inbox.put(messages, arrival_ms):
            self.stats.received += len(messages)
            self._oldest.received(self.stats, arrival_ms)

    # -- main thread

    def _step(self) -> None:
        if self._failed or self._trouble is not None:
            self._again()
            return
        idle = self._outstanding == 0
        messages, arrival_ms = self._inbox.take(0.25 if idle else 0)
        self._take(messages, arrival_ms)
        if not idle or messages:
            self._writer.poll(0.0 if messages else 0.005)
        self.subscriber.acknowledge()

    def _take(self, messages: list[Message], arrival_ms: int) -> None:
        for message in messages:
            if self._topic(message.topic).ours:
                self._append(message, self._recorded(message, arrival_ms))
            else:
                self.stats.elsewhere += 1
                self._finished(message)

    def _recorded(self, message: Message, arrival_ms: int) -> NewRecord:
        try:
            return self.record(message, arrival_ms)
        except Exception as error:  # a fault of ours must not stop all that come behind; the payload may hold an image
            self.stats.poison += 1
            topic = self._topic(message.topic)
            self._tell(
                f"a message on topic {message.topic.decode(errors='replace')!r} broke the bridge: {error!r}; its hash is kept"
            )
            return NewRecord(topic.key, unreadable(message.payload, error), arrival_ms, topic.headers)

    def record(self, message: Message, arrival_ms: int) -> NewRecord:
        """The record of `raw` that a message becomes."""
        payload, topic = message.payload, self._topic(message.topic)
        value, images = strip(payload)
        if images or message.retain or len(payload) > LARGEST:
            self.stats.images += images
            self.stats.oversize += len(payload) > LARGEST
            self.stats.retained += message.retain
        headers = topic.retained if message.retain else topic.headers
        return NewRecord(self._key(value, topic.key, arrival_ms), value, arrival_ms, headers)

    def _key(self, value: bytes, otherwise: str, arrival_ms: int) -> str:
        device = device_of(value)
        if device is None:
            self.stats.unrouted += 1
            return otherwise
        site = self._registry.find(device, arrival_ms / 1000)[0].id
        return site.encode("utf-8", "replace").decode()

    def _append(self, message: Message, record: NewRecord) -> None:
        self._handed += 1
        try:
            self._writer.append(RAW, record, partial(self._answered, message, record))
        except LogError as error:
            self._answered(message, record, error)

    @property
    def _outstanding(self) -> int:
        return self._handed - self.stats.logged - self._answers

    def _finished(self, message: Message) -> None:
        """Nothing more is to be done about it: it may be acknowledged."""
        message.stored = True
        with self._lock:
            self._inbox.released(size_of(message))

    def _answered(self, message: Message, record: NewRecord, error: Exception | None) -> None:
        """The log has the record, or says why not. Runs in any thread."""
        if error is None:
            self._finished(message)
            self.stats.logged += 1
            return
        refused = isinstance(error, RecordRefused)
        if refused:
            self._tell(f"a message on topic {message.topic.decode(errors='replace')!r} is left out for good: {error}")
            self._finished(message)
        with self._lock:
            if refused:
                self.stats.refused += 1
            else:
                self._failed.append((message, record))
                self._trouble = error
            self._answers += 1

    def _again(self) -> None:
        """The log refused something: take nothing new, wait, hand the refused ones over again, oldest first."""
        self.subscriber.acknowledge()
        if self._outstanding:
            self._writer.poll(0.05)
            return
        error = self._trouble
        if error is not None and type(error).__name__ != self._troubled:
            self._troubled = type(error).__name__
            self._tell(f"{error}; nothing is acknowledged, the broker keeps what comes, trying again")
        if self._stop.wait(self._pause):
            return
        self._pause = min(self._pause * 2, RETRY_S[1])
        if not isinstance(error, LogFull):
            self._reopen()
        with self._lock:
            failed, self._failed, self._trouble = self._failed, [], None
        self._retry(failed)

    def _retry(self, failed: list[tuple[Message, NewRecord]]) -> None:
        self.stats.retries += len(failed)
        for message, record in failed:
            self._append(message, record)
        while self._outstanding and not self._stop.is_set():
            self._writer.poll(0.05)
        if not self._failed and not self._outstanding:
            self._tell("the log takes messages again")
            self._troubled, self._pause = "", RETRY_S[0]

    def _reopen(self) -> None:
        """A writer that failed for another reason than room may be dead."""
        self._writer.close()
        with suppress(LogError):  # then the closed one refuses again, and says why
            self._writer = self._open_writer()

    def _end(self) -> None:
        """Write what was taken, serve the last answers, disconnect, close."""
        self._inbox.close()
        if self.subscriber.failure is None and not self._failed:
            while (taken := self._inbox.take(0))[0]:
                self._take(*taken)
        self._writer.flush(10.0)
        self.subscriber.acknowledge()
        self.subscriber.close()
        self._writer.close()

    # -- looking at it

    def health(self) -> dict[str, Any]:
        """What the bridge says of itself at `/health`."""
        return {
            "ok": self.subscriber.connected and not self._troubled,
            "broker": str(self.subscriber.subscription.address),
            "connected": self.subscriber.connected,
            "trouble": self.subscriber.trouble,
            "slice": str(self.slice),
            "log": self._troubled or "ok",
            "received": self.stats.received,
            "logged": self.stats.logged,
            "waiting": self.stats.waiting,
        }

    def collect(self) -> Iterable[Metric]:
        """The metrics, for a prometheus registry."""
        subscriber = self.subscriber
        yield from metrics(self.stats, self._oldest, self._inbox.held, subscriber.connected, subscriber.connections)


def end_process_on_thread_failure() -> None:
    """No half-dead bridge: an exception in any thread ends the process; unacknowledged messages come again."""

    def ended(failure: threading.ExceptHookArgs) -> None:
        name = failure.thread.name if failure.thread else "a thread"
        say(
            f"{name} failed: {failure.exc_type.__name__}: {failure.exc_value}; ending, the broker keeps what was not written",
            "error",
        )
        os._exit(1)

    threading.excepthook = ended


def stop_on_signals(bridge: Bridge) -> None:
    """SIGTERM and SIGINT end the bridge cleanly."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: bridge.stop())
