"""The stream of messages of a chain, in the order in which they are sent, with what the tables must hold because of them.

Faults: reports that are never sent, QoS 1 duplicates, disorder of seconds, messages held back for up to hours, clearing of
totals, reboots, rejoins (the frame counter starts again), a dead sensor, and foreign messages on the same topics.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from datetime import timedelta
from heapq import heappop, heappush
from random import Random
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from operators.calendar import civil_day
from operators.simulator.dialects import GARBAGE, Message, payload, topic
from operators.simulator.sensing import Seen, Sensor, Tally, see, tally

if TYPE_CHECKING:
    from operators.simulator.plan import Chain

Expected = Literal["stored", "duplicate", "quarantined"]
WEEK = 7 * 86400


class Window(NamedTuple):
    """People that the tables must hold for a line because of one message: window [start, end), start == end for a trigger.
    `people_in` and `people_out` are meant as the registry directs (after its swap)."""

    device: str
    line: int
    start: int
    end: int
    people_in: int
    people_out: int


class Sent(NamedTuple):
    """One message. `at`: epoch seconds at which it is sent; `expect`: its outcome; `device`: "" for foreign messages."""

    at: float
    site: str
    topic: str
    payload: bytes
    windows: tuple[Window, ...]
    expect: Expected
    device: str


class Faults(msgspec.Struct, frozen=True):
    """Share of messages that suffer from each fault; `late_s`: longest hold; `garbage_s`: mean seconds between foreign ones."""

    missed: float = 0.01
    doubled: float = 0.03
    late: float = 0.02
    late_s: float = 3 * 3600
    disorder: float = 0.1
    garbage_s: float = 25.0


class _Unit:
    """One device at work."""

    def __init__(self, chain: "Chain", index: int, sensor: Sensor) -> None:
        self.chain, self.index, self.sensor = chain, index, sensor
        self.shop = chain.shops[sensor_shop(chain, sensor)]
        self.lines = tuple(eye.line for eye in sensor.eyes)
        self.rng = Random(f"{chain.seed}:{sensor.serial}:faults")
        first = int(chain.origin // 86400 * 86400) + sensor.phase_s
        step = self._interval(chain.origin)
        self.start = first + int((chain.origin - first + step - 1) // step) * step
        self.boot = self.start - self.rng.randrange(3600, 20 * 86400)
        base = self.rng.randrange(200, 64_000)
        self.totals = {n: Tally(people_in=base, people_out=base - self.rng.randrange(0, 90)) for n in self.lines}
        self.count = self.rng.randrange(0, 4000)
        self.day = civil_day(self.shop.site.zone, int(chain.origin))
        self.ahead: list[Seen] = []
        self.open: list[Seen] = []
        self.newest: dict[int, Tally] = {}

    def _interval(self, at: float) -> int:
        if self.sensor.dialect.startswith("lora"):
            return self.sensor.entry.interval_s
        return self.chain.interval(at)

    def _load(self, until: float) -> None:
        """Detections of all civil days that begin before `until`."""
        site = self.shop.site
        while self.day <= civil_day(site.zone, int(self.chain.world(until))):
            rng = Random(f"{self.chain.seed}:{self.sensor.serial}:{self.day}")
            seen = see(rng, self.sensor, self.chain.crossings(site.id, self.day))
            for one in seen:
                one.at = self.chain.stamp(one.at)
            self.ahead += [s for s in seen if s.at >= self.start]
            self.ahead.sort(key=lambda s: s.at)
            self.day += timedelta(days=1)

    def advance(self, until: float, stream: "Stream") -> None:
        """Say everything that is due before `until`."""
        whole = int(until)
        if self.sensor.dead_from is not None:
            whole = min(whole, self.sensor.dead_from)
        while self.start + self._interval(self.start) <= whole:
            end = self.start + self._interval(self.start)
            self._take(end, stream)
            self._report(end, stream)
        self._take(whole, stream)

    def _take(self, until: int, stream: "Stream") -> None:
        """Move detections before `until` into the open window, with a trigger message for each second."""
        self._load(until)
        fresh = self.ahead[: bisect_left(self.ahead, float(until), key=lambda s: s.at)]
        del self.ahead[: len(fresh)]
        self.open += fresh
        by_second: dict[int, list[Seen]] = {}
        for one in fresh:
            if self._triggers(one.at):
                by_second.setdefault(int(one.at), []).append(one)
        for second, seen in by_second.items():
            self._trigger(second, seen, stream)

    def _triggers(self, at: float) -> bool:
        if self.sensor.dialect.startswith("lora"):
            return False
        return self.sensor.entry.counting == "trigger" or at >= self.chain.live

    def _trigger(self, second: int, seen: list[Seen], stream: "Stream") -> None:
        sums = tally(seen, sorted({one.line for one in seen}))
        counting = self.sensor.entry.counting == "trigger"
        windows = self._windows(sums, second, second) if counting else ()
        self._say(stream, self._message(None, second, sums), windows, 0.2)

    def _report(self, end: int, stream: "Stream") -> None:
        """The window that ends at `end`, with its totals."""
        cut = bisect_left(self.open, float(end), key=lambda s: s.at)
        sums = tally(self.open[:cut], self.lines)
        del self.open[:cut]
        if self.newest and self.sensor.trouble(end - 1, "stuck"):
            sums = self.newest
        elif any(t.people_in and t.people_out for t in sums.values()):
            self.newest = sums
        self._reset(end)
        for line, total in self.totals.items():
            total.merge(sums[line])
        message = self._message(self.start, end, sums)
        windows = self._windows(sums, self.start, end) if self.sensor.entry.counting == "window" else ()
        self.start = end
        self._say(stream, message, windows, self.sensor.delay_s)

    def _reset(self, end: int) -> None:
        """Weekly clearing of totals, reboots, rejoins."""
        lora = self.sensor.dialect.startswith("lora")
        if not lora and (end - 1) // WEEK != (self.start - 1) // WEEK:
            self.totals = {n: Tally() for n in self.lines}
        if self.rng.random() < (end - self.start) / (21 * 86400):
            self.boot = end - self.rng.randrange(20, 50)
            self.count = 0 if lora else self.count
            self.totals = self.totals if lora else {n: Tally() for n in self.lines}

    def _message(self, start: int | None, end: int, now: Mapping[int, Tally]) -> Message:
        busy = sum(t.people_in + t.people_out for t in now.values())
        present = min(12, int(busy * self.rng.random() / 4))
        zone = self.shop.site.zone
        return Message(
            self.sensor, self.shop.site.id, zone, start, end, now, self.totals, max(0, end - self.boot), self.count, present,
            present + busy // 3,
        )  # fmt: skip

    def _windows(self, sums: Mapping[int, Tally], start: int, end: int) -> tuple[Window, ...]:
        entry = self.sensor.entry
        found = []
        for line, t in sums.items():
            into, out = (t.people_out, t.people_in) if entry.swapped(line) else (t.people_in, t.people_out)
            found.append(Window(entry.id, line, start, end, into, out))
        return tuple(found)

    def _say(self, stream: "Stream", message: Message, windows: tuple[Window, ...], delay: float) -> None:
        """Send it, with the faults that chance brings."""
        faults, rng = self.chain.faults_at(message.end), self.rng
        said = payload(message)
        self.count += 1
        fate, hold, again = rng.random(), rng.random(), rng.random()
        if fate < faults.missed or self.sensor.trouble(message.end - 1, "dead"):
            return
        over = message.end + (message.start is None)  # a second has to be over before its crossings are known
        at = over + delay * (0.5 + rng.random())
        if fate < faults.missed + faults.late:
            at += 30 + hold**2 * faults.late_s
        elif fate < faults.missed + faults.late + faults.disorder:
            at += 20 * hold
        site, where = self.shop.site.id, topic(self.sensor, self.shop.site.id)
        stream.push(Sent(at, site, where, said, windows, "stored", self.sensor.entry.id))
        if again < faults.doubled:
            much_later = 30 + hold * faults.late_s if again < faults.doubled / 8 else 3 * hold
            stream.push(Sent(at + 0.05 + much_later, site, where, said, (), "duplicate", self.sensor.entry.id))


def sensor_shop(chain: "Chain", sensor: Sensor) -> str:
    """Id of the store in which a sensor hangs."""
    return next(site for site, sensors in chain.sensors.items() if sensor in sensors)


class Stream:
    """Hands out the messages of a chain from its origin on. Deterministic: the cuts of `until` change nothing."""

    def __init__(self, chain: "Chain") -> None:
        self._chain = chain
        every = [s for sensors in chain.sensors.values() for s in sensors]
        self._units = [_Unit(chain, i, s) for i, s in enumerate(every)]
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
