"""The notifier's numbers as Prometheus metrics."""

from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric


class NotifierMetrics:
    """Collects from `Notifier.figures` whenever somebody asks."""

    def __init__(self, figures: Callable[[], dict[str, Any]]) -> None:
        self._figures = figures

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked at registration."""
        return []

    def collect(self) -> Iterable[Metric]:
        figures = self._figures()
        transitions = CounterMetricFamily("footstream_notify_transitions", "transitions read, by outcome", labels=["outcome"])
        for outcome, number in figures["transitions"].items():
            transitions.add_metric([outcome], number)
        attempts = CounterMetricFamily("footstream_notify_attempts", "attempts, by ending", labels=["receiver", "ending"])
        for receiver, endings in figures["attempts"].items():
            for ending, number in endings.items():
                attempts.add_metric([receiver, ending], number)
        return [transitions, attempts, *_queues(figures)]


def _queues(figures: dict[str, Any]) -> list[Metric]:
    waiting = GaugeMetricFamily("footstream_notify_waiting", "messages not yet delivered", labels=["receiver"])
    oldest = GaugeMetricFamily("footstream_notify_oldest_seconds", "age of the oldest of them", labels=["receiver"])
    dead = GaugeMetricFamily("footstream_notify_given_up", "messages given up, of the last 90 days", labels=["receiver"])
    disabled = GaugeMetricFamily("footstream_notify_disabled", "1 when the receiver gets nothing", labels=["receiver"])
    for row in figures["receivers"]:
        name = [row["name"]]
        waiting.add_metric(name, row["waiting"])
        oldest.add_metric(name, 0 if row["oldest_ms"] is None else max(0, figures["now_ms"] - row["oldest_ms"]) / 1000)
        dead.add_metric(name, row["dead"])
        disabled.add_metric(name, int(row["disabled"] is not None))
    return [waiting, oldest, dead, disabled]
