"""The bridge: from an MQTT broker to the log, acknowledging only what the log has.

Delivery: at least once into topic `raw`; a disturbance repeats at most what was unacknowledged. Parallelism: one process a
session; the network thread receives, the main thread strips and appends. Back pressure: 32 MiB wait at most, then the broker
holds the rest; a log that is full or away stops everything until it takes records again. Lost: nothing that the broker gave us.
"""

import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from connectors.log import RAW, LogError, LogFull, NewRecord, RecordRefused, Writer
from connectors.mqtt import Message, Subscriber, Subscription
from operators.images import LARGEST, strip
from schemas.sensors import decode
from schemas.sites import UNASSIGNED, Registry

WAITING_BYTES = 32 << 20
ITEM_BYTES = 1024  # what a waiting message takes beside its payload and topic
TAKE = 500
RETRY_S = (0.25, 5.0)


def say(line: str) -> None:
    """One line of the role's log; a log that is full or gone must not end the bridge."""
    with suppress(OSError):
        print(f"bridge: {line}", file=sys.stderr, flush=True)


def device_of(payload: bytes) -> str | None:
    """Device that a payload names, as ingest finds it; None when it cannot be read."""
    for report in decode(payload):
        if report.device:
            return report.device
    return None


class ArrivalClock:
    """Epoch milliseconds that never go back, whatever the machine's clock does."""

    def __init__(self, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._now_ms, self._last = now_ms, 0

    def __call__(self) -> int:
        self._last = max(self._last, self._now_ms())
        return self._last


@dataclass
class Stats:
    """What the bridge has done since its start; each number is a metric `footstream_bridge_<name>`."""

    received: int = 0
    logged: int = 0
    images: int = 0
    oversize: int = 0
    retained: int = 0
    unrouted: int = 0
    refused: int = 0
    retries: int = 0

    MEANING = {  # noqa: RUF012  # a plain class attribute, no field
        "received": "messages taken from the broker",
        "logged": "messages that the log has",
        "images": "images removed from payloads",
        "oversize": "payloads above the largest size, of which only head and hash are kept",
        "retained": "messages that the broker sent as retained",
        "unrouted": "messages whose device could not be read",
        "refused": "messages that the log can never take",
        "retries": "messages handed to the log again",
    }


@dataclass
class _Item:
    message: Message
    arrival_ms: int
    record: NewRecord | None = None

    @property
    def size(self) -> int:
        """Bytes of memory, about: empty messages take room, too."""
        return len(self.message.payload) + len(self.message.topic) + ITEM_BYTES


class _Inbox:
    """What was received and not yet appended; bounded by bytes."""

    def __init__(self, most: int) -> None:
        self._most, self._bytes = most, 0
        self._items: deque[_Item] = deque()
        self._changed = threading.Condition()
        self.closed = False

    def put(self, item: _Item) -> bool:
        """Wait for room, then take the item; False once closed."""
        with self._changed:
            while self._bytes > self._most and not self.closed:
                self._changed.wait()
            if self.closed:
                return False
            self._items.append(item)
            self._bytes += item.size
            if len(self._items) == 1:
                self._changed.notify_all()
            return True

    def take(self, most: int, seconds: float) -> list[_Item]:
        """Up to `most` items; waits for the first."""
        with self._changed:
            if not self._items and seconds > 0:
                self._changed.wait(seconds)
            taken = [self._items.popleft() for _ in range(min(most, len(self._items)))]
            if taken:
                self._bytes -= sum(item.size for item in taken)
                self._changed.notify_all()
            return taken

    def close(self) -> None:
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._items)


class Bridge:
    """Connects one MQTT session with one writer of the log. `run()` works in the calling thread until `stop()`."""

    def __init__(
        self,
        subscription: Subscription,
        open_writer: Callable[[], Writer],
        registry: Registry,
        clock: Callable[[], int] | None = None,
        tell: Callable[[str], None] = say,
    ) -> None:
        self.stats = Stats()
        self._open_writer, self._registry, self._tell = open_writer, registry, tell
        self._clock = clock or ArrivalClock()
        self._inbox = _Inbox(WAITING_BYTES)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._outstanding = 0
        self._failed: list[_Item] = []
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

    def _received(self, message: Message) -> None:
        if not self._stop.is_set() and self._inbox.put(_Item(message, self._clock())):
            self.stats.received += 1

    # -- main thread

    def _step(self) -> None:
        if self._failed or self._trouble is not None:
            self._again()
            return
        idle = self._outstanding == 0
        taken = self._inbox.take(TAKE, 0.25 if idle else 0)
        for item in taken:
            self._append(item)
        if not idle or taken:
            self._writer.poll(0.0 if taken else 0.02)

    def record(self, message: Message, arrival_ms: int) -> NewRecord:
        """The record of `raw` that a message becomes."""
        value, images = strip(message.payload)
        stats = self.stats
        stats.images += images
        stats.oversize += len(message.payload) > LARGEST
        stats.retained += message.retain
        topic = message.topic.encode("utf-8", "replace")
        headers = (("topic", topic), ("source", b"mqtt"), *((("retain", b"1"),) if message.retain else ()))
        return NewRecord(self._key(value, topic, arrival_ms), value, arrival_ms, headers)

    def _key(self, value: bytes, topic: bytes, arrival_ms: int) -> str:
        device = device_of(value)
        if device is None:
            self.stats.unrouted += 1
            return f"{UNASSIGNED}topic-{blake2b(topic, digest_size=8).hexdigest()}"
        site = self._registry.find(device, arrival_ms / 1000)[0].id
        return site.encode("utf-8", "replace").decode()

    def _append(self, item: _Item) -> None:
        if item.record is None:
            item.record = self.record(item.message, item.arrival_ms)
        with self._lock:
            self._outstanding += 1
        try:
            self._writer.append(RAW, item.record, partial(self._answered, item))
        except LogError as error:
            self._answered(item, error)

    def _answered(self, item: _Item, error: Exception | None) -> None:
        """The log has the record, or says why not. Runs in any thread."""
        if error is None:
            item.message.done()
        with self._lock:
            self._outstanding -= 1
            if error is None:
                self.stats.logged += 1
                return
            if not isinstance(error, RecordRefused):
                self._failed.append(item)
                self._trouble = error
                return
            self.stats.refused += 1
        self._tell(f"a message on topic {item.message.topic!r} is left out for good: {error}")
        item.message.done()

    def _again(self) -> None:
        """The log refused something: take nothing new, wait, hand the refused ones over again, oldest first."""
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

    def _retry(self, failed: list[_Item]) -> None:
        self.stats.retries += len(failed)
        for item in failed:
            self._append(item)
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
            for item in self._inbox.take(1 << 30, 0):
                self._append(item)
        self._writer.flush(10.0)
        self.subscriber.close()
        self._writer.close()

    # -- looking at it

    @property
    def waiting(self) -> int:
        """Messages received and not yet in the log."""
        return len(self._inbox) + self._outstanding + len(self._failed)

    def health(self) -> dict[str, Any]:
        """What the bridge says of itself at `/health`."""
        return {
            "ok": self.subscriber.connected and not self._troubled,
            "broker": str(self.subscriber.subscription.address),
            "connected": self.subscriber.connected,
            "log": self._troubled or "ok",
            "received": self.stats.received,
            "logged": self.stats.logged,
            "waiting": self.waiting,
        }

    def collect(self) -> Iterable[Metric]:
        """The metrics, for a prometheus registry."""
        for name, meaning in Stats.MEANING.items():
            yield CounterMetricFamily(f"footstream_bridge_{name}", meaning, value=getattr(self.stats, name))
        reconnects = max(0, self.subscriber.connections - 1)
        yield CounterMetricFamily("footstream_bridge_reconnects", "connections after the first one", value=reconnects)
        yield GaugeMetricFamily("footstream_bridge_queue_depth", "messages received and not yet in the log", value=self.waiting)
        yield GaugeMetricFamily(
            "footstream_bridge_connected", "1 while the broker is connected", value=self.subscriber.connected
        )


def end_process_on_thread_failure() -> None:
    """No half-dead bridge: an exception in any thread ends the process; unacknowledged messages come again."""

    def ended(failure: threading.ExceptHookArgs) -> None:
        name = failure.thread.name if failure.thread else "a thread"
        say(f"{name} failed: {failure.exc_type.__name__}: {failure.exc_value}; ending, the broker keeps what was not written")
        os._exit(1)

    threading.excepthook = ended


def stop_on_signals(bridge: Bridge) -> None:
    """SIGTERM and SIGINT end the bridge cleanly."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: bridge.stop())
