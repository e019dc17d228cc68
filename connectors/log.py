"""The log: an ordered, durable list of records per topic and partition. One interface, two implementations.

Delivery: an append is done when its callback has run (or `append_many` has returned); then it survives kill -9 and power
loss. Positions start at 0, grow by at least one and are never reused. Readers see records in order of position.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

RAW = "raw"
TRANSITIONS = "transitions"
CONTROL = "control"


class NewRecord(NamedTuple):
    """What is appended. `timestamp`: arrival, epoch milliseconds. `key` chooses the partition."""

    key: str
    value: bytes
    timestamp: int
    headers: tuple[tuple[str, bytes], ...] = ()


class Batch(NamedTuple):
    """Records of one partition, as parallel lists in order of position. Headers may be empty for any record."""

    partition: int
    positions: list[int]
    timestamps: list[int]
    keys: list[str]
    values: list[bytes]
    headers: list[tuple[tuple[str, bytes], ...]]


MAX_RECORD_BYTES = 900_000
"""Key, value and headers together: what a broker with default settings takes (1 MB a request) with room for its own bytes."""


class LogError(Exception):
    """The log cannot be used: the message says what, where and what to do."""


class LogFull(LogError):
    """No room on the disk: nothing was taken; the caller keeps its messages and tries again later."""


class PositionGone(LogError):
    """The position asked for is no longer kept (retention or truncation)."""


class RecordRefused(LogError):
    """This one record can never be taken (too large, a key that is no text); others can."""


class Writer(Protocol):
    """Appends from one thread. Back-pressure: `append` blocks while the log's buffer is full."""

    def append(self, topic: str, record: NewRecord, done: Callable[[Exception | None], None] | None = None) -> None:
        """Hand over one record; `done(None)` is called once it is durable, `done(error)` when it was refused.

        Callbacks run in `poll` or `flush`, or in a thread of the log; in order of append per partition.
        """

    def poll(self, seconds: float) -> None:
        """Serve callbacks for up to `seconds`."""

    def flush(self, seconds: float) -> bool:
        """Make everything durable; True when nothing is left.

        Raises the first error of the records that were appended without `done` since the last flush.
        """

    def append_many(self, topic: str, records: Sequence[NewRecord]) -> None:
        """Append and wait until all are durable. Raises LogFull or LogError; on error some may have been written."""

    def close(self) -> None: ...


class Reader(Protocol):
    """Reads one partition from a position on."""

    def poll(self, most: int, seconds: float) -> Batch | None:
        """Up to `most` records, waiting up to `seconds` for the first; None when there is none. Raises PositionGone."""

    @property
    def caught_up(self) -> bool:
        """True when the last poll reached the end of the partition as it was then."""

    def close(self) -> None: ...


class SliceReader(Protocol):
    """Reads several partitions of one topic, each from its own position on. What a lane uses: one connection for all."""

    def poll(self, most: int, seconds: float) -> list[Batch]:
        """Up to `most` records over all partitions, at most one Batch a partition, none of them empty.

        Waits up to `seconds` for the first record; an empty list when there is none. No partition is starved by another.
        Raises PositionGone, LogError; nothing of such a poll was handed out and the position has not moved.
        """

    @property
    def caught_up(self) -> bool:
        """True when every partition's end, as it was at the last poll, has been handed out."""

    def close(self) -> None: ...


class Log(Protocol):
    """A log named by a URL: `sqlite:///path/to/folder-or-file` or `kafka://host:port[,host:port]`.

    Topic names are passed without prefix; the log adds the prefix it was opened with.
    """

    def ensure_topic(self, topic: str, partitions: int, retention_s: int | None = None) -> int:
        """Create the topic when missing; returns its real number of partitions."""

    def grow_topic(self, topic: str, partitions: int) -> None:
        """Add empty partitions up to that number. What keeps a topic open (writers, readers) has to be started again.

        Raises LogError when the topic is missing or has more: a log never loses partitions, their positions are spent.
        """

    def differences(self, topic: str, partitions: int, retention_s: int | None = None) -> list[str]:
        """In what an existing topic differs from what `ensure_topic` would make, each with the remedy."""

    def partitions(self, topic: str) -> int | None:
        """Number of partitions, None when the topic does not exist."""

    def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """Per partition (first kept position, end), where end is the position that the next record gets."""

    def writer(self) -> Writer: ...

    def reader(self, topic: str, partition: int, position: int) -> Reader:
        """`position` is the first one to be read; 0 means from the first kept record when none was ever read."""

    def slice_reader(self, topic: str, positions: dict[int, int]) -> SliceReader:
        """Reader of the partitions that `positions` names; a position means the same as in `reader`."""

    def commit_progress(self, topic: str, group: str, positions: dict[int, int]) -> None:
        """Publish how far a group has read, for dashboards only (consumer lag). Best effort: never raises, never waits."""

    def progress(self, topic: str, group: str) -> dict[int, int]:
        """What `commit_progress` published last, by partition; without those never published."""

    def close(self) -> None: ...


def _murmur2(data: bytes) -> int:
    """MurmurHash2, 32 bit, as Kafka's Java client computes it (org.apache.kafka.common.utils.Utils.murmur2)."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = 0x9747B28C ^ len(data)
    whole = len(data) - len(data) % 4
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    if whole < len(data):
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


@lru_cache(maxsize=100_000)
def partition_of(key: str, partitions: int) -> int:
    """Partition of a key: Kafka's default partitioner (murmur2), the same in every log and for Java producers."""
    return (_murmur2(key.encode()) & 0x7FFFFFFF) % partitions


def refusal(record: NewRecord) -> tuple[RecordRefused | None, int]:
    """Why a record can never be taken, by the same rule in every log, and its size in bytes."""
    try:
        key = record.key.encode()
    except UnicodeEncodeError:
        return RecordRefused(f"record with key {record.key!r}: not valid Unicode; name the site otherwise"), 0
    size = len(key) + len(record.value)
    for name, value in record.headers:
        size += len(name) + len(value)
    if size > MAX_RECORD_BYTES:
        return RecordRefused(f"record of {size} bytes, key {record.key!r}: the log takes {MAX_RECORD_BYTES}; shorten it"), size
    return None, size


class OneReader:
    """A `Reader` of one partition on top of a slice reader."""

    def __init__(self, reader: SliceReader) -> None:
        self._reader = reader

    def poll(self, most: int, seconds: float) -> Batch | None:
        batches = self._reader.poll(most, seconds)
        return batches[0] if batches else None

    @property
    def caught_up(self) -> bool:
        return self._reader.caught_up

    def close(self) -> None:
        self._reader.close()


def open_log(
    url: str,
    prefix: str = "footstream.",
    options: dict[str, str] | None = None,
    max_mib: int = 8192,
    durability: tuple[int, int, int] = (0, 0, 0),
) -> Log:
    """Open the log behind a URL. `options` are extra client settings (Kafka: librdkafka names).

    `max_mib`: size of the whole embedded log at which the oldest records go. `durability`: of Kafka's topics that are created,
    replicas, how many of them must have a record, and bytes that a partition keeps; 0: as fits the brokers, no limit.

    Raises LogError when the scheme is unknown or the log cannot be opened. Writing and reading connect lazily.
    """
    scheme = url.split(":", 1)[0]
    if scheme == "sqlite":
        from connectors.sqlite_log import SqliteLog

        return SqliteLog(url, prefix, max_mib)
    if scheme == "kafka":
        from connectors._kafka_topics import Durability
        from connectors.kafka import KafkaLog

        return KafkaLog(url, prefix, options or {}, Durability(*durability))
    raise LogError(f"log URL {url!r}: scheme {scheme!r} is not known; use sqlite:///FOLDER or kafka://HOST:PORT")
