"""What is special about the log on Kafka: partitioner, outages, foreign records."""

import time
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from connectors._kafka_topics import Durability
from connectors.kafka import KafkaLog
from connectors.log import LogError, partition_of
from tests.support.kafka import KafkaBroker
from tests.support.logs import drain, read_all, record
from tests.support.ports import free_port


def opened(broker: KafkaBroker, **options: str) -> KafkaLog:
    named = {name.replace("_", "."): value for name, value in options.items()}
    return KafkaLog(broker.url, f"t{uuid4().hex[:8]}.", named)


def test_our_partitioner_is_that_of_java_and_of_librdkafkas_murmur2(kafka: KafkaBroker) -> None:
    log = opened(kafka)
    log.ensure_topic("raw", 7)
    keys = [f"site-{i}" for i in range(200)] + ["a", "ab", "abc", "abcd", "Größe", "東京 🏬", "x" * 1000]
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "partitioner": "murmur2_random"})
    seen: dict[str, int] = {}
    for key in keys:
        producer.produce(
            f"{log._prefix}raw", b"v", key, on_delivery=lambda error, message, key=key: seen.update({key: message.partition()})
        )
    assert producer.flush(20) == 0
    assert seen == {key: partition_of(key, 7) for key in keys}


def test_records_of_foreign_producers_without_key_value_or_text_are_read(kafka: KafkaBroker) -> None:
    log = opened(kafka)
    log.ensure_topic("raw", 1)
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    producer.produce(f"{log._prefix}raw", b"v", None, headers=[("empty", None)])
    producer.produce(f"{log._prefix}raw", None, b"\xff\xfe")
    assert producer.flush(20) == 0
    assert [row[3:] for row in read_all(log, "raw")] == [("", b"v", (("empty", b""),)), ("\ufffd\ufffd", b"", ())]


def test_an_unreachable_broker_is_one_line_with_a_remedy() -> None:
    log = KafkaLog(f"kafka://127.0.0.1:{free_port()}")
    import connectors.kafka as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ASK_S", 0.5)
        for question in (lambda: log.ensure_topic("raw", 1), lambda: log.partitions("raw"), lambda: log.reader("raw", 0, 0)):
            with pytest.raises(LogError, match=r"Kafka 127\.0\.0\.1:\d+: .*check that it runs"):
                question()


@pytest.mark.parametrize("url", ["kafka://", "kafka://host", "kafka://host:port", "kafka://a:1,b", "http://a:1"])
def test_a_wrong_url_is_refused_when_the_log_is_opened(url: str) -> None:
    with pytest.raises(LogError, match="not kafka://HOST:PORT"):
        KafkaLog(url)


def test_a_wrong_option_is_refused_with_its_name(kafka: KafkaBroker) -> None:
    with pytest.raises(LogError, match=r"no\.such\.setting.*FOOTSTREAM_LOG_OPTIONS"):
        KafkaLog(kafka.url, options={"no.such.setting": "1"}).partitions("raw")


def test_a_topic_is_made_with_what_was_asked_for_and_then_differs_in_nothing(kafka: KafkaBroker) -> None:
    from confluent_kafka.admin import AdminClient, ConfigResource

    log = opened(kafka)
    log._durability = Durability(retention_bytes=1 << 30)
    log.ensure_topic("raw", 2, 86_400)
    resource = ConfigResource("topic", f"{log._prefix}raw")
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    found = admin.describe_configs([resource])[resource].result(10)
    asked = {"retention.ms": "86400000", "retention.bytes": str(1 << 30), "min.insync.replicas": "1"}
    assert {name: found[name].value for name in asked} == asked
    assert log.differences("raw", 2, 86_400) == []
    assert log.differences("missing", 2, 86_400) == []


def test_an_existing_topic_that_differs_is_told_with_the_remedy(kafka: KafkaBroker) -> None:
    log = opened(kafka)
    log.ensure_topic("raw", 2, 86_400)
    log._durability = Durability(3, 2, 1 << 30)
    told = log.differences("raw", 4, 7 * 86_400)
    assert len(told) == 5
    assert all(word in told[0] for word in ("2 partitions", "FOOTSTREAM_LOG_PARTITIONS=2"))
    assert all(word in told[1] for word in ("1 replicas", "kafka-reassign-partitions.sh", "FOOTSTREAM_LOG_REPLICATION=1"))
    for words, change in zip(
        told[2:], ("min.insync.replicas=2", "retention.ms=604800000", f"retention.bytes={1 << 30}"), strict=True
    ):
        assert words.endswith(f"--entity-name {log._prefix}raw --add-config {change}")


def test_more_replicas_than_brokers_are_refused_with_both_numbers(kafka: KafkaBroker) -> None:
    log = opened(kafka)
    log._durability = Durability(3)
    with pytest.raises(LogError, match=r"3 replicas were asked for and 1 brokers run.*FOOTSTREAM_LOG_REPLICATION"):
        log.ensure_topic("raw", 1)
    assert log.partitions("raw") is None


def test_a_broker_killed_while_it_is_written_loses_and_doubles_nothing_and_readers_go_on(own_kafka: KafkaBroker) -> None:
    log = opened(own_kafka)
    log.ensure_topic("raw", 3)
    reader = log.slice_reader("raw", {0: 0, 1: 0, 2: 0})
    writer = log.writer()
    done: list[int] = []

    def confirm(number: int, error: Exception | None) -> None:
        assert error is None
        done.append(number)

    for i in range(6000):
        writer.append("raw", record(i, f"k{i % 9}", 200), lambda error, i=i: confirm(i, error))  # type: ignore[misc]
        if i == 3000:
            writer.poll(0.01)
            own_kafka.kill9()
            assert reader.poll(1, 0.2) is not None  # an outage raises nothing
        if i == 4000:
            own_kafka.start()
    assert writer.flush(40)
    assert sorted(done) == list(range(6000))
    rows = read_all(log, "raw")
    assert sorted(int(row[4][:8]) for row in rows) == list(range(6000))
    for key in range(9):
        of_key = [int(row[4][:8]) for row in rows if row[3] == f"k{key}"]
        assert of_key == sorted(of_key)
    writer.append_many("raw", [record(6000, "k0")])
    end = time.monotonic() + 30
    seen = 0
    while seen < 6000 and time.monotonic() < end:
        seen += len(drain(reader, seconds=30))
    assert seen >= 6000
    reader.close()
    writer.close()


def test_what_no_broker_takes_in_time_is_refused_through_its_callback(own_kafka: KafkaBroker) -> None:
    log = opened(own_kafka, message_timeout_ms="3000")
    log.ensure_topic("raw", 1)
    writer = log.writer()
    writer.append_many("raw", [record(0)])
    own_kafka.kill9()
    results: list[Exception | None] = []
    writer.append("raw", record(1), results.append)
    writer.append("raw", record(2))
    with pytest.raises(LogError, match=r"not taken: .*check the brokers"):
        writer.flush(20)
    assert len(results) == 1
    assert isinstance(results[0], LogError)
    own_kafka.start()
    writer.append_many("raw", [record(4)])
    assert [row[4] for row in read_all(log, "raw")] == [b"00000000", b"00000004"]
    writer.close()


def test_a_slow_broker_makes_append_wait_instead_of_losing(kafka: KafkaBroker) -> None:
    log = opened(kafka, queue_buffering_max_messages="50", linger_ms="20")
    log.ensure_topic("raw", 1)
    writer = log.writer()
    for i in range(2000):
        writer.append("raw", record(i))
    assert writer.flush(20)
    assert [int(row[4]) for row in read_all(log, "raw")] == list(range(2000))
    writer.close()


def test_progress_is_what_kafkas_own_tools_show(kafka: KafkaBroker) -> None:
    log = opened(kafka)
    log.ensure_topic("raw", 1)
    writer = log.writer()
    writer.append_many("raw", [record(i) for i in range(5)])
    writer.close()
    log.commit_progress("raw", "lane-7", {0: 3})
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "lane-7"})
    end = time.monotonic() + 20
    while consumer.committed([TopicPartition(f"{log._prefix}raw", 0)], timeout=10)[0].offset != 3:
        assert time.monotonic() < end
        time.sleep(0.05)
    consumer.close()
    log.close()
