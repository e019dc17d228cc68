"""The log on Kafka, as far as it goes without a broker."""

import pytest
from confluent_kafka import Producer

from connectors._kafka_topics import Durability, Found, differences
from connectors.kafka import KafkaLog, KafkaWriter
from connectors.log import LogError, NewRecord


def test_a_broker_that_is_away_is_asked_for_partitions_once_and_not_for_every_record_that_waits() -> None:
    asked: list[str] = []

    def away(topic: str) -> int:
        asked.append(topic)
        raise LogError("no answer in 15 s")

    writer = KafkaWriter(Producer({"bootstrap.servers": "127.0.0.1:1", "log_level": 0}), "t.", away, "127.0.0.1:1")
    errors: list[Exception | None] = []
    for n in range(1000):
        writer.append("raw", NewRecord("k", b"%d" % n, 1, ()), errors.append)
    assert len(errors) == 1000 and all(str(error) == "no answer in 15 s" for error in errors)
    assert asked == ["raw"], "each question takes seconds, and a stop would wait for all of them"


def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(LogError, match="FOOTSTREAM_LOG_USER") as refused:
        KafkaLog("kafka://user:hunter2@broker:9092")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(("brokers", "chosen"), [(1, (1, 1)), (2, (2, 1)), (3, (3, 2)), (9, (3, 2))])
def test_replicas_are_chosen_from_the_number_of_brokers(brokers: int, chosen: tuple[int, int]) -> None:
    assert Durability().chosen(brokers)[:2] == chosen
    assert Durability(5, 4).chosen(brokers)[:2] == (5, 4)


def test_a_broker_that_is_away_does_not_make_three_replicas_too_many() -> None:
    found = Found(8, 3, 2, {"min.insync.replicas": "2"})
    assert list(differences("t.raw", "h:1", found, 8, None, Durability())) == []
    assert len(list(differences("t.raw", "h:1", found, 8, None, Durability(2, 1)))) == 2
