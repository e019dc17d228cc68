"""A device that watches zones instead of lines: how many people are there, and who has left after how long."""

from collections.abc import Iterable
from datetime import timedelta
from itertools import groupby
from random import Random
from typing import TYPE_CHECKING

from operators.calendar import civil_day
from operators.simulator.dialects import Message, StaySaid, levels_of
from operators.simulator.floor import Dwell, Floor
from operators.simulator.sensing import Sensor
from operators.simulator.told import StayTold
from operators.simulator.unit import TRIGGER_DELAY_S, Unit

if TYPE_CHECKING:
    from operators.simulator.plan import Chain
    from operators.simulator.stream import Stream

MISSED = 0.02
"""Share of stays that the device does not see."""
TRACKS = 10_000
"""Track numbers are used again after so many people."""
HISTORY_S = 86_400
"""These sensors were hung a day before the chain goes live: that keeps the history short."""


class FloorUnit(Unit):
    """`waiting`: stays that have not begun, in order; `inside`: those of people who are there."""

    def __init__(self, chain: "Chain", index: int, sensor: Sensor) -> None:
        super().__init__(chain, index, sensor)
        assert sensor.floor is not None
        self.floor: Floor = sensor.floor
        self.start = max(self.start, (chain.live - HISTORY_S) // 1800 * 1800)
        self.day = civil_day(self.shop.site.zone, self.start)
        self.waiting: list[StaySaid] = []
        self.inside: list[StaySaid] = []
        self.ended: list[StaySaid] = []

    def _load(self, until: float) -> None:
        site = self.shop.site
        while self.day <= civil_day(site.zone, int(self.chain.world(until))):
            rng = Random(f"{self.chain.seed}:{self.sensor.serial}:{self.day}")
            seen = [d for d in self.chain.dwells(site.id, self.floor, self.day) if rng.random() >= MISSED]
            self.waiting += [s for s in map(self._said, seen) if s.end > s.start >= self.start]
            self.waiting.sort(key=lambda s: s.start, reverse=True)
            self.day += timedelta(days=1)

    def _said(self, d: Dwell) -> StaySaid:
        return StaySaid(self.chain.stamp(d.start), self.chain.stamp(d.end), d.zone, d.person % TRACKS, d.child)

    def _take(self, until: int, stream: "Stream") -> None:
        """Move on to a second: who came, who left, and a message for each second in which somebody left."""
        self._load(until)
        while self.waiting and self.waiting[-1].start < until:
            self.inside.append(self.waiting.pop())
        gone = sorted((s for s in self.inside if s.end < until), key=lambda s: (s.end, s.zone, s.track))
        if not gone:
            return
        self.inside = [s for s in self.inside if s.end >= until]
        self.ended += gone
        for end, stays in groupby(gone, key=lambda s: s.end):
            if self.sensor.singles:
                self._tell(end, tuple(stays), stream)

    def _tell(self, end: int, stays: tuple[StaySaid, ...], stream: "Stream") -> None:
        told = tuple(StayTold(self.sensor.entry.id, s.zone, s.start, s.end) for s in stays)
        message = self._about(None, end)
        message.stays = stays
        self._say(stream, message, TRIGGER_DELAY_S, stays=told)

    def _report(self, end: int, stream: "Stream") -> None:
        self._reset(end)
        message = self._about(self.start, end)
        message.people = {area.zone.number: 0 for area in self.floor.areas}
        for stay in self.inside:
            message.people[stay.zone] += 1
        if not self.sensor.singles:
            message.dwell = {zone: _summary(self.ended, zone) for zone in {s.zone for s in self.ended}}
        self.ended.clear()
        self.start = end
        self._say(stream, message, self.sensor.delay_s, levels=levels_of(message))

    def _about(self, start: int | None, end: int) -> Message:
        return Message(self.sensor, self.shop.site.id, self.shop.site.zone, start, end, {}, {}, max(0, end - self.boot))


def _summary(stays: Iterable[StaySaid], zone: int) -> tuple[int, int]:
    """Average and longest stay in milliseconds."""
    lasted = [s.end - s.start for s in stays if s.zone == zone]
    return round(1000 * sum(lasted) / len(lasted)), 1000 * max(lasted)
