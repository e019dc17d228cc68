"""What a sensor sees of the crossings: misses, double counts, and sums over windows of its lines."""

from collections.abc import Iterable
from random import Random
from typing import Literal

import msgspec

from operators.simulator.floor import Floor
from operators.simulator.people import Crossing
from schemas.sites import Device

Dialect = Literal["vs121p", "vs125", "vs13x", "lora121", "lora13x"]


class Eye(msgspec.Struct, frozen=True):
    """How well a line sees: probability of missing a person in and out; 0.3 % are counted twice everywhere."""

    line: int
    spot: int
    miss_in: float = 0.02
    miss_out: float = 0.02


class Trouble(msgspec.Struct, frozen=True):
    """Something that is wrong with a sensor in [start, end), epoch seconds.

    `kind`: `dead` sends nothing, `blind` counts nobody, `stuck` repeats its newest report that counted somebody, `misses` some
    people, `tilt` too, and hangs askew. `miss_in`, `miss_out`: probability of missing a person, beside the usual one.
    """

    kind: Literal["dead", "blind", "stuck", "misses", "tilt"]
    start: int
    end: int
    miss_in: float = 0.0
    miss_out: float = 0.0


class Sensor(msgspec.Struct, frozen=True):
    """A device on the wall. `entry`: how the registry knows it. `reversed`: mounted the wrong way round, so that it says
    "in" for those who leave (the registry swaps it back). `delay_s`: usual time from the end of a window to its arrival.
    `phase_s`: windows begin that much after the round clock time ("From Now On"). `dead_from`: epoch of its last word.
    `angles`: pitch and roll in degrees, told every ten minutes; None: it does not tell.
    `floor`: the zones that it watches instead of lines; `singles`: it tells single stays, else their average and longest.
    """

    entry: Device
    serial: str
    dialect: Dialect
    eyes: tuple[Eye, ...]
    reversed: bool = False
    delay_s: float = 2.0
    phase_s: int = 0
    dead_from: int | None = None
    groups: bool = False
    demography: bool = False
    angles: tuple[float, float] | None = None
    troubles: tuple[Trouble, ...] = ()
    floor: Floor | None = None
    singles: bool = False

    def trouble(self, at: float, *kinds: str) -> Trouble | None:
        """What is wrong of these kinds at a moment."""
        return next((t for t in self.troubles if t.start <= at < t.end and t.kind in kinds), None) if self.troubles else None


class Tally(msgspec.Struct):
    """Sums of one line over a window, as the device says them (before any swap by the registry)."""

    people_in: int = 0
    people_out: int = 0
    child_in: int = 0
    child_out: int = 0
    staff_in: int = 0
    staff_out: int = 0
    group_in: int = 0
    group_out: int = 0

    def add(self, seen: "Seen") -> None:
        if seen.way > 0:
            self.people_in += 1
            self.child_in += seen.child
            self.staff_in += seen.staff
            self.group_in += seen.leads
        else:
            self.people_out += 1
            self.child_out += seen.child
            self.staff_out += seen.staff
            self.group_out += seen.leads

    def merge(self, other: "Tally") -> None:
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Seen(msgspec.Struct, gc=False):
    """One detection: epoch second, line, and the way as the device says it."""

    at: float
    line: int
    way: int
    child: bool
    staff: bool
    leads: bool


def see(rng: Random, sensor: Sensor, made: Iterable[Crossing]) -> list[Seen]:
    """Detections of one sensor among the crossings of its store, in order of time."""
    eyes: dict[int, list[Eye]] = {}
    for eye in sensor.eyes:
        eyes.setdefault(eye.spot, []).append(eye)
    seen: list[Seen] = []
    for c in made:
        for eye in eyes.get(c.spot, ()):
            draw = rng.random()
            if draw < (eye.miss_in if c.way > 0 else eye.miss_out) or _missed(rng, sensor, c):
                continue
            way = -c.way if sensor.reversed else c.way
            for _ in range(2 if draw > 0.997 else 1):
                seen.append(Seen(c.at, eye.line, way, c.child, c.staff, c.leads))
    return seen


def _missed(rng: Random, sensor: Sensor, c: Crossing) -> bool:
    trouble = sensor.trouble(c.at, "blind", "misses", "tilt")
    if trouble is None:
        return False
    return trouble.kind == "blind" or rng.random() < (trouble.miss_in if c.way > 0 else trouble.miss_out)


def tally(seen: Iterable[Seen], lines: Iterable[int]) -> dict[int, Tally]:
    """Sums per line; every line is there, with zeros when nobody came."""
    sums = {line: Tally() for line in lines}
    for one in seen:
        sums[one.line].add(one)
    return sums
