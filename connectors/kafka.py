"""The log on Kafka, through confluent-kafka (librdkafka).

Delivery: an append is done when all in-sync replicas have it (idempotent producer, acks=all). Parallelism: one producer a
writer, one consumer a reader, whatever the number of its partitions. Back pressure: `append` blocks while the producer's
queue is full. Lost: nothing that was reported as done; what no broker took within 30 s is reported as refused.

Kafka deletes by the record's own timestamp: under a retention of 7 days a replayed month is gone five minutes later, without
an error. So a record's timestamp must be its arrival; and a topic made without `retention_s` keeps everything.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic, OffsetSpec, TopicMetadata

from connectors._kafka_client import Clients
from connectors._kafka_reader import KafkaSliceReader
from connectors._kafka_topics import Durability, Found, differences, topic_settings
from connectors.log import LogError, NewRecord, OneReader, Reader, SliceReader, Writer, partition_of, refusal

ASK_S = 15.0  # how long an answer of the broker is waited for
ASK_SHARES = (0.02, 0.05, 0.13, 0.27, 0.53)  # of that, one try after the other
DELIVERY_MS = 30_000  # after that a record that no broker took is refused; must stay below the supervisor's grace time
UNKNOWN_S = 1.0  # how long a failed question for a topic's partitions answers those that follow
_CLIENT = {
    "log_level": 1,  # librdkafka writes to stderr, round our log stream; what matters is raised
    "reconnect.backoff.max.ms": 1000,  # a broker that is back is noticed within a second or two, not ten
}

_PRODUCER = {
    "enable.idempotence": True,
    "acks": "all",
    "compression.type": "lz4",
    "linger.ms": 5,
    "message.timeout.ms": DELIVERY_MS,
    "queue.buffering.max.messages": 100_000,
    "queue.buffering.max.kbytes": 64 * 1024,
}

Done = Callable[[Exception | None], None]


def _servers(url: str) -> str:
    scheme, _, rest = url.partition("://")
    servers = rest.rstrip("/")
    if "@" in servers:  # not repeated: there may be a password in it
        raise LogError("log URL kafka://…@…: user and password go into FOOTSTREAM_LOG_USER and _PASSWORD")
    hosts = servers.split(",")
    if scheme != "kafka" or not all(host and port.isdigit() for host, _, port in (h.rpartition(":") for h in hosts)):
        raise LogError(f"log URL {url!r}: not kafka://HOST:PORT[,HOST:PORT]; user and password are settings of their own")
    return servers


class KafkaLog:
    """See `connectors.log.Log`. URL: `kafka://HOST:PORT[,HOST:PORT]`; `options` are librdkafka settings for all clients.

    `durability`: replicas and size of the topics that are created.
    """

    def __init__(
        self,
        url: str,
        prefix: str = "footstream.",
        options: dict[str, str] | None = None,
        durability: Durability = Durability(),  # noqa: B008  # immutable
    ) -> None:
        self._prefix, self._servers, self._durability = prefix, _servers(url), durability
        self._clients = Clients(self._servers, _CLIENT, options or {})
        self._admin_client: AdminClient | None = None
        self._progress: dict[str, Consumer] = {}

    def ensure_topic(self, topic: str, partitions: int, retention_s: int | None = None) -> int:
        """See `Log.ensure_topic`. An existing topic keeps its settings: `differences` names what is not as asked for."""
        known = self.partitions(topic)
        if known is not None:
            return known
        brokers = len(self._ask(self._admin().list_topics).brokers)
        wanted = self._durability.chosen(brokers)
        settings = topic_settings(wanted, retention_s)
        new = NewTopic(self._prefix + topic, partitions, wanted.replication, config=settings)
        error = self._create(new)
        if error is not None and error.code() == KafkaError.INVALID_CONFIG:  # before 3.6 there is no such limit
            new.config = {k: v for k, v in settings.items() if not k.endswith("after.max.ms")}
            error = self._create(new)
        if error is not None and error.code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise LogError(
                f"Kafka {self._servers}: topic {new.topic} cannot be created: {error.str()}; {_remedy(error, wanted, brokers)}"
            )
        return self._await_topic(topic)

    def grow_topic(self, topic: str, partitions: int) -> None:
        """See `Log.grow_topic`."""
        name, known = self._prefix + topic, self._count(topic)
        if partitions < known:
            raise LogError(f"Kafka {self._servers}: topic {name} has {known} partitions; their number can only grow")
        if partitions == known:
            return
        future = self._admin().create_partitions([NewPartitions(name, partitions)], request_timeout=ASK_S)[name]
        self._ask(lambda timeout: future.result(timeout))
        end = time.monotonic() + ASK_S
        while self._count(topic) < partitions:  # metadata follow a moment later
            if time.monotonic() > end:
                raise LogError(f"Kafka {self._servers}: topic {name} does not show its new partitions; check the brokers")
            time.sleep(0.05)
        while True:  # they have leaders a moment after that
            try:
                self.bounds(topic)
                return
            except LogError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def differences(self, topic: str, partitions: int, retention_s: int | None = None) -> list[str]:
        """See `Log.differences`."""
        name = self._prefix + topic
        found = self._metadata(topic)
        if found is None:
            return []
        resource = ConfigResource(ConfigResource.Type.TOPIC, name)
        asked = self._ask(lambda timeout: self._admin().describe_configs([resource], request_timeout=timeout))
        settings = {e.name: e.value for e in self._ask(asked[resource].result).values()}
        replicas = min(len(p.replicas) for p in found.partitions.values())
        brokers = len(self._ask(self._admin().list_topics).brokers)
        there = Found(len(found.partitions), replicas, brokers, settings)
        return list(differences(name, self._servers, there, partitions, retention_s, self._durability))

    def partitions(self, topic: str) -> int | None:
        found = self._metadata(topic)
        return None if found is None else len(found.partitions)

    def _metadata(self, topic: str) -> TopicMetadata | None:
        name = self._prefix + topic
        found: TopicMetadata | None = self._ask(self._admin().list_topics).topics.get(name)  # asking for one may create it
        if found is None or (found.error is not None and found.error.code() in _NO_TOPIC):
            return None
        if found.error is not None:
            raise LogError(f"Kafka {self._servers}: topic {name}: {found.error.str()}; check the user's rights")
        return found if found.partitions else None

    def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        count = self._count(topic)
        earliest = self._offsets(topic, count, OffsetSpec.earliest())
        latest = self._offsets(topic, count, OffsetSpec.latest())
        return {p: (earliest[p], latest[p]) for p in range(count)}

    def writer(self) -> Writer:
        producer = self._clients.make(Producer, _PRODUCER)
        return KafkaWriter(producer, self._prefix, self._count, self._servers, self._clients.refused)

    def reader(self, topic: str, partition: int, position: int) -> Reader:
        return OneReader(self.slice_reader(topic, {partition: position}))

    def slice_reader(self, topic: str, positions: dict[int, int]) -> SliceReader:
        count = self._count(topic)
        unknown = [p for p in positions if not 0 <= p < count]
        if unknown:
            raise LogError(
                f"Kafka topic {self._prefix + topic}: partition {unknown[0]} asked for, it has 0 to {count - 1}; check the lane"
            )
        build = partial(self._clients.make, Consumer)
        return KafkaSliceReader(build, self._prefix + topic, positions, self._clients.refused)

    def commit_progress(self, topic: str, group: str, positions: dict[int, int]) -> None:
        """See `Log.commit_progress`: asynchronous, under the group's name, so that every Kafka tool shows the lag."""
        name = self._prefix + topic
        with suppress(KafkaException, LogError):
            self._group(group).commit(offsets=[TopicPartition(name, p, at) for p, at in positions.items()], asynchronous=True)

    def progress(self, topic: str, group: str) -> dict[int, int]:
        name = self._prefix + topic
        asked = [TopicPartition(name, p) for p in range(self._count(topic))]
        found = self._ask(lambda timeout: self._group(group).committed(asked, timeout=timeout))
        return {t.partition: t.offset for t in found if t.offset >= 0}

    def close(self) -> None:
        for consumer in self._progress.values():
            consumer.close()
        self._progress.clear()
        self._admin_client = None

    def _create(self, topic: NewTopic) -> KafkaError | None:
        futures = self._admin().create_topics([topic], request_timeout=ASK_S)
        try:
            futures[topic.topic].result(ASK_S)
        except KafkaException as error:
            failed: KafkaError = error.args[0]
            if failed.code() in _UNREACHABLE:
                raise self._clients.away(error) from error
            return failed
        return None

    def _await_topic(self, topic: str) -> int:
        """Metadata follows the creation a moment later."""
        end = time.monotonic() + ASK_S
        while time.monotonic() < end:
            known = self.partitions(topic)
            if known is not None:
                return known
            time.sleep(0.05)
        raise LogError(
            f"Kafka {self._servers}: topic {self._prefix + topic} was created but does not appear; check the brokers"
        )

    def _count(self, topic: str) -> int:
        count = self.partitions(topic)
        if count is None:
            raise LogError(
                f"Kafka {self._servers}: topic {self._prefix + topic} is missing;"
                " the part that writes it creates it (`footstream bridge`)"
            )
        return count

    def _offsets(self, topic: str, count: int, spec: OffsetSpec) -> dict[int, int]:
        wanted = {TopicPartition(self._prefix + topic, p): spec for p in range(count)}
        futures = self._ask(lambda timeout: self._admin().list_offsets(wanted, request_timeout=timeout))
        return {t.partition: int(self._ask(future.result).offset) for t, future in futures.items()}

    def _ask(self, question: Callable[..., Any]) -> Any:
        """Ask with growing patience, because a refused login is told only between the tries."""
        for share in ASK_SHARES:
            try:
                return question(timeout=ASK_S * share)
            except (KafkaException, TimeoutError) as error:
                failed = error
            self._admin().poll(0)  # errors of the connection are heard here
            if (refused := self._clients.refused()) is not None:
                raise refused from None
            if isinstance(failed, KafkaException) and failed.args[0].code() not in _UNREACHABLE:
                break
        raise self._clients.away(failed) from failed

    def _admin(self) -> AdminClient:
        if self._admin_client is None:
            self._admin_client = self._clients.make(AdminClient, {})
        return self._admin_client

    def _group(self, group: str) -> Consumer:
        if group not in self._progress:
            self._progress[group] = self._clients.make(Consumer, {"group.id": group, "enable.auto.commit": False})
        return self._progress[group]


def _remedy(error: KafkaError, wanted: Durability, brokers: int) -> str:
    """What to do about a topic that cannot be created."""
    if error.code() == KafkaError.INVALID_REPLICATION_FACTOR:
        asked = f"{wanted.replication} replicas were asked for and {brokers} brokers run"
        return f"{asked}: start more, or lower FOOTSTREAM_LOG_REPLICATION"
    if error.code() in (KafkaError.INVALID_CONFIG, KafkaError.INVALID_PARTITIONS):
        return "correct FOOTSTREAM_LOG_PARTITIONS, FOOTSTREAM_LOG_RETENTION_DAYS or FOOTSTREAM_LOG_RETENTION_BYTES"
    return "check the user's rights"


_NO_TOPIC = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)
_UNREACHABLE = (KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE)


class KafkaWriter:
    """See `connectors.log.Writer`. `count_of` gives the number of partitions of a topic, `denied` why we were not let in."""

    def __init__(
        self,
        producer: Producer,
        prefix: str,
        count_of: Callable[[str], int],
        servers: str,
        denied: Callable[[], LogError | None] = lambda: None,
    ) -> None:
        self._denied = denied
        self._producer, self._prefix, self._count_of, self._servers = producer, prefix, count_of, servers
        self._counts: dict[str, int] = {}
        self._unknown: tuple[LogError, float] | None = None  # why partitions could not be asked for, and until when that holds
        self._failure: Exception | None = None

    def append(self, topic: str, record: NewRecord, done: Done | None = None) -> None:
        refused, _ = refusal(record)
        if refused is not None:
            self._answer(done, refused)
            return
        try:
            count = self._count(topic)
        except LogError as error:
            self._answer(done, error)
            return
        try:
            self._produce(self._prefix + topic, partition_of(record.key, count), record, partial(self._delivered, topic, done))
        except KafkaException as error:
            self._answer(done, self._problem(topic, error.args[0]))

    def _count(self, topic: str) -> int:
        """Partitions of the topic. A broker that is away is asked for one record, not for each that waits: it takes seconds."""
        count = self._counts.get(topic)
        if count is None:
            if self._unknown is not None and time.monotonic() < self._unknown[1]:
                raise self._unknown[0]
            try:
                count = self._counts[topic] = self._count_of(topic)
            except LogError as error:
                self._unknown = error, time.monotonic() + UNKNOWN_S
                raise
        return count

    def poll(self, seconds: float) -> None:
        self._producer.poll(seconds)
        self._raise_failure()

    def flush(self, seconds: float) -> bool:
        left: int = self._producer.flush(seconds)
        self._raise_failure()
        return left == 0

    def append_many(self, topic: str, records: Sequence[NewRecord]) -> None:
        errors: list[Exception] = []
        left = len(records)

        def done(error: Exception | None) -> None:
            nonlocal left
            left -= 1
            if error is not None:
                errors.append(error)

        for record in records:
            self.append(topic, record, done)
        while left:  # ends: every record is taken or refused within DELIVERY_MS
            self._producer.flush(1.0)
        if errors:
            raise errors[0]

    def close(self) -> None:
        """Wait until everything was taken or refused. Raises nothing."""
        self._producer.flush(DELIVERY_MS / 1000 + 5)

    def _produce(self, name: str, partition: int, record: NewRecord, delivered: Callable[[Any, Any], None]) -> None:
        headers = list(record.headers) or None
        while True:
            try:
                self._producer.produce(
                    name,
                    record.value,
                    record.key,
                    partition=partition,
                    on_delivery=delivered,
                    timestamp=record.timestamp,
                    headers=headers,
                )
                return
            except BufferError:
                self._producer.poll(0.1)  # the local queue is full: deliveries or their timeout empty it

    def _delivered(self, topic: str, done: Done | None, error: KafkaError | None, _: Message) -> None:
        if error is None:
            if done is not None:
                self._answer(done, None)
            return
        self._answer(done, self._problem(topic, error))

    def _answer(self, done: Done | None, error: Exception | None) -> None:
        try:
            if done is not None:
                done(error)
            elif error is not None:
                self._failure = self._failure or error
        except Exception as failure:  # it would be lost in librdkafka: the caller gets it at the next poll or flush
            self._failure = self._failure or failure

    def _problem(self, topic: str, error: KafkaError) -> LogError:
        if error.code() in (*_NO_TOPIC, KafkaError._UNKNOWN_PARTITION):
            self._counts.pop(topic, None)  # the topic was made anew: ask again
        if (denied := self._denied()) is not None:
            return denied
        name = self._prefix + topic
        if error.fatal():
            return LogError(
                f"Kafka {self._servers}: topic {name}: {error.str()}; the producer cannot go on: start this part again"
            )
        return LogError(f"Kafka {self._servers}: topic {name}: not taken: {error.str()}; check the brokers, then send it again")

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
