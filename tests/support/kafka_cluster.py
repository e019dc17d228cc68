"""Three real Kafka brokers on loopback that hold each record three times and take none that fewer than two have."""

import time
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from confluent_kafka.admin import AdminClient

from tests.support.kafka import KafkaBroker

BROKERS = 3
HEAP_MIB = 400
START_S = 120.0


class KafkaCluster:
    """A context; each of `brokers` may be killed and started again. All of them are brokers and controllers (KRaft)."""

    def __init__(self) -> None:
        self.brokers = [KafkaBroker() for _ in range(BROKERS)]
        voters = ",".join(f"{i}@127.0.0.1:{b.controller}" for i, b in enumerate(self.brokers, 1))
        for i, broker in enumerate(self.brokers, 1):
            broker.cluster_id, broker.heap_mib = self.brokers[0].cluster_id, HEAP_MIB
            broker.exact = {
                "node.id": str(i),
                "controller.quorum.voters": voters,
                "offsets.topic.replication.factor": str(BROKERS),
                "transaction.state.log.replication.factor": str(BROKERS),
                "transaction.state.log.min.isr": "2",
                "share.coordinator.state.topic.replication.factor": str(BROKERS),
                "replica.lag.time.max.ms": "5000",
                "broker.session.timeout.ms": "6000",  # a busy machine must not look like a dead broker
                "controller.quorum.fetch.timeout.ms": "6000",
                "controller.quorum.election.timeout.ms": "3000",
            }

    @property
    def bootstrap(self) -> str:
        return ",".join(b.bootstrap for b in self.brokers)

    @property
    def url(self) -> str:
        return f"kafka://{self.bootstrap}"

    def settled(self, topic: str, seconds: float = 90.0) -> None:
        """Wait until every partition of a topic has all its replicas in sync again."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            partitions = admin.list_topics(topic, timeout=5).topics[topic].partitions.values()
            if partitions and all(len(p.isrs) == BROKERS and p.leader > 0 for p in partitions):
                return
            time.sleep(0.2)
        raise TimeoutError(f"replicas of {topic} are not in sync after {seconds} s")

    def __enter__(self) -> "KafkaCluster":
        try:
            with ThreadPoolExecutor(BROKERS) as pool:  # each formats its folder with a JVM of its own
                list(pool.map(KafkaBroker.launch, self.brokers))
            for broker in self.brokers:
                broker.wait(START_S, BROKERS)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for broker in self.brokers:
            broker.__exit__(None, None, None)
