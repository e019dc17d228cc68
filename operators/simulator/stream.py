"""The stream of messages of a chain, in the order in which they are sent, with what the tables must hold because of them.

Faults: reports that are never sent, QoS 1 duplicates, disorder of seconds, messages held back for up to hours, clearing of
totals, reboots, rejoins (the frame counter starts again), a dead sensor, and foreign messages on the same topics.
"""

from collections.abc import Iterable
from heapq import heappop, heappush
from random import Random
from typing import TYPE_CHECKING

from operators.simulator.dialects import GARBAGE
from operators.simulator.floor_unit import FloorUnit
from operators.simulator.told import Faults, Sent, Window
from operators.simulator.unit import Unit

if TYPE_CHECKING:
    from operators.simulator.plan import Chain


class Stream:
    """Hands out the messages of a chain from its origin on. Deterministic: the cuts of `until` change nothing."""

    def __init__(self, chain: "Chain") -> None:
        self._chain = chain
        every = [s for sensors in chain.sensors.values() for s in sensors]
        self._units = [(Unit if s.floor is None else FloorUnit)(chain, i, s) for i, s in enumerate(every)]
        self._heap: list[tuple[float, str, int, Sent]] = []
        self._counts: dict[str, int] = {}
        self._rng = Random(f"{chain.seed}:garbage")
        self._garbage = float(chain.origin)

    def push(self, sent: Sent) -> None:
        """Hold a message until its time has come."""
        number = self._counts[sent.device] = self._counts.get(sent.device, 0) + 1
        heappush(self._heap, (sent.at, sent.device, number, sent))

    def until(self, moment: float) -> list[Sent]:
        """Everything that is sent before a moment (epoch seconds) and was not handed out yet."""
        for unit in self._units:
            unit.advance(moment, self)
        self._foreign(moment)
        found = []
        while self._heap and self._heap[0][0] < moment:
            found.append(heappop(self._heap)[3])
        return found

    def rest(self) -> list[Sent]:
        """Everything that is still held back, in order; the stream ends with it."""
        return [heappop(self._heap)[3] for _ in range(len(self._heap))]

    def _foreign(self, moment: float) -> None:
        sites, chain = list(self._chain.shops), self._chain
        while (gap := chain.faults_at(self._garbage).garbage_s) and self._garbage < moment:
            if self._garbage > chain.origin:
                site = self._rng.choice(sites)
                self.push(Sent(self._garbage, site, f"routers/{site}", self._rng.choice(GARBAGE)[1], (), "quarantined", ""))
            before, self._garbage = self._garbage, self._garbage + self._rng.expovariate(1 / gap)
            if before < chain.live <= self._garbage:
                self._garbage = float(chain.live)


def drain(stream: Stream, end: float) -> Iterable[Sent]:
    """All messages up to `end`, then what is held back."""
    yield from stream.until(end)
    yield from stream.rest()


__all__ = ["Faults", "Sent", "Stream", "Window", "drain"]
