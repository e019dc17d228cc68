"""What a Kafka topic is made with, and in what an existing one differs from it."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

ENOUGH = 3
"""Replicas that survive a lost broker while another is being replaced."""
_LONGEST = str(2**63 - 1)


class Durability(NamedTuple):
    """What a topic is created with. 0: chosen from the number of brokers; for `retention_bytes`: no limit.

    `retention_bytes` is that of one partition, as Kafka counts it.
    """

    replication: int = 0
    min_insync: int = 0
    retention_bytes: int = 0

    def chosen(self, brokers: int) -> "Durability":
        """With the zeros filled in: three replicas of which two must have a record, or as many as there are brokers."""
        replication = self.replication or max(1, min(ENOUGH, brokers))
        return Durability(replication, self.min_insync or (2 if replication >= ENOUGH else 1), self.retention_bytes)


class Found(NamedTuple):
    """An existing topic. `replication`: of the partition that has the fewest replicas."""

    partitions: int
    replication: int
    brokers: int
    settings: Mapping[str, str]


def topic_settings(wanted: Durability, retention_s: int | None) -> dict[str, str]:
    """Kafka's settings of a topic; `wanted` without zeros for replicas."""
    return {
        "cleanup.policy": "delete",
        "min.insync.replicas": str(wanted.min_insync),
        "retention.ms": "-1" if retention_s is None else str(retention_s * 1000),
        "retention.bytes": str(wanted.retention_bytes or -1),
        "message.timestamp.type": "CreateTime",
        "message.timestamp.after.max.ms": _LONGEST,  # since 4.0 the default refuses what is an hour ahead of the broker
    }


def differences(
    name: str, servers: str, found: Found, partitions: int, retention_s: int | None, durability: Durability
) -> Iterator[str]:
    """Each difference of an existing topic from what the settings say, with the remedy."""
    wanted = durability.chosen(found.brokers)
    if found.partitions != partitions:
        yield (
            f"{name} has {found.partitions} partitions, the settings say {partitions}; a topic keeps its number:"
            f" set FOOTSTREAM_LOG_PARTITIONS={found.partitions}"
        )
    # Not asked for by name: a broker that is away must not make three replicas look like too many.
    differs = found.replication != wanted.replication if durability.replication else found.replication < wanted.replication
    if differs:
        yield (
            f"{name} has {found.replication} replicas, not {wanted.replication}; give it more with Kafka's"
            f" kafka-reassign-partitions.sh, or set FOOTSTREAM_LOG_REPLICATION={found.replication}"
        )
    less: Callable[[int, int], bool] = int.__ne__ if durability.min_insync else int.__lt__
    insync = int(found.settings.get("min.insync.replicas", 1))
    if less(insync, wanted.min_insync):
        yield _reset(name, servers, "min.insync.replicas", str(insync), str(wanted.min_insync))
    for setting in ("retention.ms", "retention.bytes", "cleanup.policy", "message.timestamp.type"):
        want = topic_settings(wanted, retention_s)[setting]
        if (there := found.settings.get(setting, want)) != want:
            yield _reset(name, servers, setting, there, want)


def _reset(name: str, servers: str, setting: str, there: str, want: str) -> str:
    return (
        f"{name} has {setting}={there}, not {want}; set it: kafka-configs.sh --bootstrap-server {servers.partition(',')[0]}"
        f" --alter --entity-type topics --entity-name {name} --add-config {setting}={want}"
    )
