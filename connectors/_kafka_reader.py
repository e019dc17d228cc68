"""Reading a slice of a Kafka topic: one consumer for all partitions, batches as parallel lists.

Delivery: records in order of offset, each once after the given position; the group's offsets play no part.
"""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition

from connectors.log import Batch, LogError, PositionGone

_CONSUMER = {
    "group.id": "footstream-reader",  # needed by the client; nothing is committed under it
    "enable.auto.commit": False,
    "auto.offset.reset": "error",  # a lost position stops the lane: skipping to either end would lose or repeat silently
    "enable.partition.eof": True,
    "queued.min.messages": 50_000,
    "queued.max.messages.kbytes": 32_768,  # of memory, for all partitions together
    "fetch.wait.max.ms": 100,  # the end of a partition is told that late; 10 requests a second while idle
    "fetch.queue.backoff.ms": 5,  # the default waits a second whenever that is full: 70,000 records a second at most
}
_EOF, _LOST = KafkaError._PARTITION_EOF, KafkaError._AUTO_OFFSET_RESET
_PASSING = (
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError._RESOLVE,
    KafkaError._MAX_POLL_EXCEEDED,
)

_partition, _error, _offset = Message.partition, Message.error, Message.offset
_key, _value, _timestamp, _headers = Message.key, Message.value, Message.timestamp, Message.headers


class KafkaSliceReader:
    """See `connectors.log.SliceReader`. An outage of the broker raises nothing: polls are empty until it is back.

    `denied`: why the brokers do not let us in, None while they do; that is raised, because only a person can mend it.
    """

    def __init__(
        self,
        build: Callable[[dict[str, Any]], Consumer],
        topic: str,
        positions: dict[int, int],
        denied: Callable[[], LogError | None],
    ) -> None:
        self._denied = denied
        self._topic, self._positions = topic, dict(positions)
        self._ends: dict[int, int] = {}  # where the broker said that a partition ends
        self._consumer = build(_CONSUMER)
        starts = [TopicPartition(topic, p, at or OFFSET_BEGINNING) for p, at in positions.items()]
        self._consumer.assign(starts)

    @property
    def caught_up(self) -> bool:
        """See `SliceReader.caught_up`; False until the broker has said where each partition ends."""
        return all(self._ends.get(p, -1) >= at for p, at in self._positions.items())

    def poll(self, most: int, seconds: float) -> list[Batch]:
        """See `SliceReader.poll`."""
        end = time.monotonic() + seconds
        while True:
            got = self._consumer.consume(most, 0)
            if not got:  # `consume` waits until it has all it may bring: wait for one, then take what is there
                got = self._consumer.consume(1, max(0.0, end - time.monotonic()))
                if got and most > 1:
                    got += self._consumer.consume(most - 1, 0)
            with _no_collection():
                batches = self._batches(got)
            if batches or time.monotonic() >= end:
                if not batches and (denied := self._denied()) is not None:
                    raise denied
                return batches

    def close(self) -> None:
        self._consumer.close()

    def _batches(self, got: list[Message]) -> list[Batch]:
        if any(map(_error, got)):
            got = self._without_events(got)
        if not got:
            return []
        if len(self._positions) == 1:
            parts: dict[int, list[Message]] = {next(iter(self._positions)): got}
        else:
            parts = {}
            for partition, message in zip(map(_partition, got), got, strict=True):
                if partition in parts:
                    parts[partition].append(message)
                else:
                    parts[partition] = [message]
        batches = [_batch(partition, messages) for partition, messages in parts.items()]
        for batch in batches:
            self._positions[batch.partition] = batch.positions[-1] + 1
        return batches

    def _without_events(self, got: list[Message]) -> list[Message]:
        """Records only; ends of partitions are noted. Raises what a person must decide; the poll is dropped whole."""
        records, ends = [], {}
        for message in got:
            error = message.error()
            if error is None:
                records.append(message)
            elif error.code() == _EOF:
                ends[message.partition()] = message.offset()
            elif error.code() not in _PASSING:
                self._rewind()
                raise self._problem(message.partition(), error)
        self._ends |= ends
        return records

    def _rewind(self) -> None:
        starts = [TopicPartition(self._topic, p, at or OFFSET_BEGINNING) for p, at in self._positions.items()]
        self._consumer.assign(starts)

    def _problem(self, partition: int, error: KafkaError) -> LogError:
        where = f"Kafka topic {self._topic}, partition {partition}, position {self._positions.get(partition)}"
        if error.code() in (_LOST, KafkaError.OFFSET_OUT_OF_RANGE):
            return PositionGone(
                f"{where}: gone ({error.str()}): retention was shorter than the pause, or the topic was made anew;"
                " start the lane again: it says what is lost and what can be done"
            )
        return LogError(f"{where}: {error.str()}; check the topic, the user's rights and the brokers")


@contextmanager
def _no_collection() -> Iterator[None]:
    """Thousands of small tuples are made at once and kept: looking for cycles among them doubles the time (measured)."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _batch(partition: int, messages: list[Message]) -> Batch:
    return Batch(
        partition,
        list(map(_offset, messages)),
        [stamp for _, stamp in map(_timestamp, messages)],
        _keys(list(map(_key, messages))),
        _values(list(map(_value, messages))),
        _all_headers(messages),
    )


def _keys(keys: list[bytes | None]) -> list[str]:
    """Keys as text: any producer may write here, so a missing key is empty and bytes that are no text are marked."""
    try:
        return [key.decode() for key in keys]  # type: ignore[union-attr]  # None is the rare case, and cheap to fail on
    except (AttributeError, UnicodeDecodeError):
        return [(key or b"").decode(errors="replace") for key in keys]


def _values(values: list[bytes | None]) -> list[bytes]:
    """A deleted value (a tombstone of another producer) is an empty one."""
    return [value or b"" for value in values] if None in values else values  # type: ignore[return-value]  # no None is left


def _all_headers(messages: list[Message]) -> list[tuple[tuple[str, bytes], ...]]:
    """Headers of each record; equal ones are one object (a device's are always the same), empty where there are none."""
    known: dict[Any, tuple[tuple[str, bytes], ...]] = {}
    result: list[tuple[tuple[str, bytes], ...]] = []
    for found in map(_headers, messages):
        if not found:
            result.append(())
            continue
        pairs = known.get(key := tuple(found))
        if pairs is None:
            pairs = known[key] = tuple((name, value or b"") for name, value in key)
        result.append(pairs)
    return result
