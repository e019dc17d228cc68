"""One device at work: what it has seen becomes messages, with the faults that chance brings."""

from bisect import bisect_left
from collections.abc import Mapping
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

from operators.calendar import civil_day
from operators.simulator.dialects import Message, levels_of, payload, topic
from operators.simulator.sensing import Seen, Sensor, Tally, see, tally
from operators.simulator.told import Level, Sent, StayTold, Window

if TYPE_CHECKING:
    from operators.simulator.plan import Chain
    from operators.simulator.stream import Stream

WEEK = 7 * 86400
TRIGGER_DELAY_S = 0.2


class Unit:
    """One device at work."""

    def __init__(self, chain: "Chain", index: int, sensor: Sensor) -> None:
        self.chain, self.index, self.sensor = chain, index, sensor
        self.shop = chain.shops[_shop_of(chain, sensor)]
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
        self._say(stream, self._message(None, second, sums), TRIGGER_DELAY_S, windows)

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
        levels = levels_of(message)
        self.start = end
        self._say(stream, message, self.sensor.delay_s, windows, levels)

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

    def _say(
        self,
        stream: "Stream",
        message: Message,
        delay: float,
        windows: tuple[Window, ...] = (),
        levels: tuple[Level, ...] = (),
        stays: tuple[StayTold, ...] = (),
    ) -> None:
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
        stream.push(Sent(at, site, where, said, windows, "stored", self.sensor.entry.id, levels, stays))
        if again < faults.doubled:
            much_later = 30 + hold * faults.late_s if again < faults.doubled / 8 else 3 * hold
            stream.push(Sent(at + 0.05 + much_later, site, where, said, (), "duplicate", self.sensor.entry.id))


def _shop_of(chain: "Chain", sensor: Sensor) -> str:
    """Id of the store in which a sensor hangs."""
    return next(site for site, sensors in chain.sensors.items() if sensor in sensors)
