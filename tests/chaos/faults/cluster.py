"""F6 on a cluster: three Kafka brokers, of which one dies, and two at once."""

import time
from threading import Thread

from connectors.log import RAW
from tests.chaos.faults import Bench, fault
from tests.chaos.stage import Stage
from tests.support.kafka_cluster import BROKERS, START_S, KafkaCluster

AWAY_S = 12


@fault("F6", "each of three Kafka brokers in turn is killed (-9) under load and returns", "nothing lost, nothing doubled")
def one_of_three(bench: Bench) -> None:
    with KafkaCluster() as cluster, bench.stage(log_url=cluster.url) as stage:
        thread = _publishing(stage)
        for broker in cluster.brokers:
            time.sleep(stage.rng.uniform(2, 5))
            broker.kill9()
            time.sleep(AWAY_S)
            broker.start(START_S)
            cluster.settled(stage.system.settings.topic_prefix + RAW)
        thread.join()
        _finish(bench, stage)


@fault(
    "F6",
    "two of three Kafka brokers are killed (-9) at once, twice: nobody may write",
    "nothing lost; what was doubled counts once",
)
def two_of_three(bench: Bench) -> None:
    with KafkaCluster() as cluster, bench.stage(log_url=cluster.url) as stage:
        thread = _publishing(stage)
        for _ in range(2):
            time.sleep(stage.rng.uniform(2, 5))
            pair = stage.rng.sample(range(BROKERS), 2)
            for number in pair:
                cluster.brokers[number].kill9()
            time.sleep(AWAY_S)
            for number in pair:
                cluster.brokers[number].launch()
            for number in pair:
                cluster.brokers[number].wait(START_S, BROKERS)
            cluster.settled(stage.system.settings.topic_prefix + RAW)
        thread.join()
        _finish(bench, stage)


def _publishing(stage: Stage) -> Thread:
    thread = Thread(target=stage.publish, args=(stage.book.sent, 200), daemon=True)
    thread.start()
    return thread


def _finish(bench: Bench, stage: Stage) -> None:
    bench.prove(stage)
    log = stage.open_log()
    records = sum(end - first for first, end in log.bounds(RAW).values())
    log.close()
    bench.figures["doubled in the log"] = records - len(stage.book.sent)
