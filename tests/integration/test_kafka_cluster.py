"""Three real brokers, of which one dies while records are appended; `tests/chaos/faults/cluster.py` has the whole path."""

from collections import Counter

from connectors.kafka import KafkaLog
from tests.support.kafka_cluster import KafkaCluster
from tests.support.logs import read_all, record

RECORDS = 6_000


def test_no_record_is_lost_or_doubled_when_one_of_three_brokers_dies_and_returns() -> None:
    with KafkaCluster() as cluster:
        log = KafkaLog(cluster.url, "t.")
        log.ensure_topic("raw", 4)
        writer, failed = log.writer(), list[Exception]()
        done = [0]

        def note(error: Exception | None) -> None:
            done[0] += 1
            if error is not None:
                failed.append(error)

        for number in range(RECORDS):
            writer.append("raw", record(number, f"site-{number % 40}"), note)
            if number == RECORDS // 3:
                cluster.brokers[1].kill9()
            if number == 2 * RECORDS // 3:
                cluster.brokers[1].start(120)
            writer.poll(0)
        writer.flush(60)
        writer.close()
        cluster.settled("t.raw")
        rows = read_all(log, "raw")
        assert (done[0], failed) == (RECORDS, [])
        counts = Counter(int(row[4][:8]) for row in rows)
        assert len(counts) == RECORDS and max(counts.values()) == 1
        for site in range(40):
            numbers = [int(row[4][:8]) for row in sorted(rows) if row[3] == f"site-{site}"]
            assert numbers == sorted(numbers), "a key's records changed their order"
