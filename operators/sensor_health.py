"""Health of the sensors of one store: store or sensor, decided and said once, with the evidence in plain words.

Every quarter of an hour the counts of all lines are held against what is usual (operators/usual_lines.py), over times of one
quarter up to about a day of opening (operators/line_evidence.py); what each sensor shows by itself is in
operators/sensor_signs.py. An episode begins when something is said and ends when it does not hold any more. Quarters are learnt
late, a day of opening after they were, so that what turns out to be a fault teaches nothing.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from operators.calendar import local_start
from operators.line_evidence import EMPTY, PARTY, Cell, Channel, Finding, Way, Window, decide, over
from operators.sensor_signs import Days, Hour, Sign, Told, of_hour
from operators.spread import MINUTE
from operators.usual_lines import Line, Usual
from schemas.sites import Site

QUARTER = 900
WINDOWS = (*range(1, 13), 14, 16, 20, 24, 28, 32, 40, 48)
"""Quarters of opening that are looked at together."""
NIGHT_S = 7200
"""A store that is closed for longer begins another day."""
_DAY_SPREAD, _HOUR_SPREAD = 0.01, 0.006
"""Squared relative error of the level of an ordinary day, and of its hours against the day, beside what is not known of the
usual: about 10 % and 8 %."""
HABIT_S = 14 * 86_400
"""What has been so for so long is usual: it is ended, and the line learnt anew."""
_KEPT_S = 5 * 86_400
SILENT_PERIODS = 3


class Episode(msgspec.Struct, array_like=True):
    """Something that was said. `device` "": the store; `line` 0: all of the device. Times: epoch s, `ended` 0 while it lasts.
    `value`, `usual`: the figures behind it; `factor`: how much of the usual was counted, for counts."""

    verdict: str
    kind: str
    device: str
    line: int
    ways: tuple[int, ...]
    began: int
    said: int
    ended: int
    evidence: str
    value: float | None
    usual: float | None
    factor: float = 0.0
    others: float = 0.0

    @property
    def key(self) -> tuple[str, str, int]:
        return self.kind, self.device, self.line


COUNTS = ("blind", "undercounts", "overcounts", "imbalance", "door", "closed", "quiet", "busy")
"""Kinds that are told by counts."""


class Quarter(msgspec.Struct, array_like=True):
    """A quarter in which the store was open. `slot`: hour of the civil week; `counts`: (in, out) by device and
    line, of those that were measured."""

    start: int
    slot: int
    counts: dict[str, dict[int, tuple[int, int]]]


class HealthState(msgspec.Struct, array_like=True):
    """State of one store. `people`: in minus out through entrances since the reset, `crossings` in and out of them."""

    usual: Usual = msgspec.field(default_factory=Usual)
    ring: list[Quarter] = []
    sensors: dict[str, Told] = {}
    open: list[Episode] = []
    past: list[Episode] = []
    people: int = 0
    crossings: int = 0


class Heard(NamedTuple):
    """A sensor at a step: when it was heard last (epoch s, 0 never), and its hour when one is over, with people in reports
    that were lost."""

    last: int
    interval_s: int
    hour: Hour | None = None
    lost: int = 0


Counts = Mapping[Line, tuple[int, int] | None]


class SensorHealth:
    """The operator."""

    def __init__(self, site: Site, state: HealthState) -> None:
        self.site, self.state = site, state
        self._usual: dict[tuple[Line, Way, int], float | None] = {}
        self.entrances = frozenset(
            (d.id, n) for d in site.devices.values() for n, ln in d.lines.items() if ln.role == "entrance"
        )

    def sensor(self, device: str) -> Told:
        found = self.state.sensors.get(device)
        if found is None:
            found = self.state.sensors[device] = Told()
        return found

    def step(
        self, start: int, now: int, is_open: bool, empty: bool, counts: Counts, heard: Mapping[str, Heard]
    ) -> list[Episode]:
        """Judge the quarter that begins at `start` and is over. `counts`: None for a line that was not measured; `empty`: the
        store's reset lies in it. Returns the episodes that began or ended."""
        self._count(start, is_open, empty, counts)
        self._usual.clear()
        changed = self._apply(self._of_signs(now, is_open, heard))
        changed += self._apply(self._of_counts(start, now) if is_open else self._night(now))
        self.state.past = [e for e in self.state.past if e.ended > now - _KEPT_S]
        self._learn()
        return changed

    def _apply(self, changed: list[Episode]) -> list[Episode]:
        for e in changed:
            if e.ended:
                self.state.open.remove(e)
                self.state.past.append(e)
            else:
                self.state.open.append(e)
        return changed

    # -- what was counted ------------------------------------------------------------------------------------------------

    def _count(self, start: int, is_open: bool, empty: bool, counts: Counts) -> None:
        state = self.state
        if empty:
            state.people = state.crossings = 0
        quarter = Quarter(start, local_start(self.site.zone, start) // 3600 % 168, {})
        for (device, line), pair in sorted(counts.items()):
            days = self.sensor(device).days.setdefault(line, Days())
            if pair is None:
                days.missed(self.site.zone, start)
                continue
            days.take(self.site.zone, start, *pair)
            quarter.counts.setdefault(device, {})[line] = pair
            if (device, line) in self.entrances:
                state.people += pair[0] - pair[1]
                state.crossings += sum(pair)
        if is_open:
            state.ring.append(quarter)

    def _learn(self) -> None:
        while len(self.state.ring) > WINDOWS[-1]:
            quarter = self.state.ring.pop(0)
            counts = {(d, n): pair for d, lines in quarter.counts.items() for n, pair in lines.items()}
            odd = any(e.kind == "door" and _holds(e, quarter.start) for e in (*self.state.open, *self.state.past))
            sound = {line for line in counts if not odd and not self._spoilt(line, quarter.start)}
            level = any(
                not e.device and e.kind in COUNTS and _holds(e, quarter.start) for e in (*self.state.open, *self.state.past)
            )
            self.state.usual.learn(quarter.slot, counts, sound, level)

    def _spoilt(self, line: Line, start: int) -> bool:
        """Whether something was said of a line that holds for a quarter."""
        said = (e for e in (*self.state.open, *self.state.past) if e.device == line[0] and e.line in (0, line[1]))
        return any(_holds(e, start) for e in said)

    def _odd(self, start: int) -> bool:
        """Whether something was said of the store that is over and held for a quarter, or a door was shut then."""
        doors = any(e.kind == "door" and _holds(e, start) for e in self.state.open)
        return doors or any((not e.device or e.kind == "door") and _holds(e, start) for e in self.state.past)

    # -- windows ---------------------------------------------------------------------------------------------------------

    def _windows(self, since: int = 0, skip: bool = True) -> Iterator[Window]:
        """Windows that end now. `skip`: leave out what was said to be wrong; `since`: none that begins before.

        What was usual on an earlier day is scaled by that day's level, which says nothing of today.
        """
        sums: dict[Channel, list[float]] = {}
        doubts, back, today = 0.0, 0, True
        for day in self._days():
            level = 1.0 if today else self._level(day)
            for number, quarter in enumerate(day, 1):
                if quarter.start < since:
                    return
                back += 1
                for channel, seen, usual in self._cells(quarter, skip):
                    cell = sums.setdefault(channel, [0.0, 0.0])
                    cell[0], cell[1] = cell[0] + seen, cell[1] + level * usual
                total = self.state.usual.total(0, quarter.slot)
                doubts += total[1] if total else 0.5
                if back in WINDOWS and sums:
                    expected = self._before(day[number:], doubts / back) if today else (1.0, _DAY_SPREAD + doubts / back)
                    yield self._window(quarter, back, today, sums, expected)
            if today:  # from here on it is one of several days
                today, level = False, self._level(day)
                for cell in sums.values():
                    cell[1] *= level

    def _before(self, earlier: list[Quarter], doubt: float) -> tuple[float, float]:
        """Level of the store by what came earlier on the day, and its squared relative error."""
        seen = usual = PARTY / (_DAY_SPREAD + doubt)
        for quarter in earlier:
            for _, y, m in self._cells(quarter, skip=True):
                seen, usual = seen + y, usual + m
        return seen / usual, _HOUR_SPREAD + PARTY / usual

    def _inside(self) -> float:
        """People whom the counts leave in the store now, beyond what errors of counting explain."""
        return max(0.0, self.state.people - 3.0 - 0.015 * self.state.crossings)

    def _empty(self) -> bool:
        """Whether hardly anybody was counted in the newest quarter, though people were due."""
        cells = list(self._cells(self.state.ring[-1], skip=True))
        return sum(y for _, y, _ in cells) < EMPTY * sum(m for _, _, m in cells)

    def _days(self) -> Iterator[list[Quarter]]:
        """The quarters that are held, newest first, by day of opening."""
        day: list[Quarter] = []
        for quarter in reversed(self.state.ring):
            if day and day[-1].start - quarter.start > NIGHT_S:
                yield day
                day = []
            day.append(quarter)
        if day:
            yield day

    def _level(self, day: list[Quarter]) -> float:
        """People of a day that is over against the usual."""
        seen = usual = 10.0
        for quarter in day:
            for _, y, m in self._cells(quarter, skip=True):
                seen, usual = seen + y, usual + m
        return seen / usual

    def _cells(self, quarter: Quarter, skip: bool) -> Iterator[tuple[Channel, int, float]]:
        """(line and direction, people counted, people usual) of what is known of a quarter."""
        if skip and self._odd(quarter.start):
            return
        for device, lines in quarter.counts.items():
            for line, pair in lines.items():
                if skip and self._spoilt((device, line), quarter.start):
                    continue
                for way in (0, 1):
                    usual = self._expected((device, line), way, quarter.slot)
                    if usual is not None:
                        yield ((device, line), way), pair[way], usual

    def _expected(self, line: Line, way: int, slot: int) -> float | None:
        key = (line, way, slot)
        if key not in self._usual:
            self._usual[key] = self.state.usual.expected(line, way, slot)
        return self._usual[key]

    def _window(
        self, first: Quarter, quarters: int, today: bool, sums: dict[Channel, list[float]], expected: tuple[float, float]
    ) -> Window:
        shares = self.state.usual.lines
        cells = {c: Cell(y, m, shares[c[0][0]][c[0][1]].doubt(c[1], PARTY)) for c, (y, m) in sums.items()}
        return Window(first.start, quarters, today, cells, *expected, self._inside(), self._empty(), self.entrances)

    # -- verdicts --------------------------------------------------------------------------------------------------------

    def _of_counts(self, start: int, now: int) -> list[Episode]:
        changed = []
        odd_store = False
        for e in self.state.open:
            if e.kind not in COUNTS:
                continue
            end = self._over(e, now)
            if end:
                changed.append(_ended(e, end))
            elif not e.device:
                odd_store = True
        if any(e.kind == "door" and not e.ended for e in self.state.open):
            return changed  # where its people go instead is not known
        found = decide(self._windows(), loose=odd_store)
        if found is not None and not self._told(found):
            changed.append(self._say(found, now))
        return changed

    def _over(self, e: Episode, now: int) -> int:
        """When an episode ended, 0 while it lasts."""
        if now - e.began > HABIT_S:
            for device, line in [(d, n) for d, lines in self.state.usual.lines.items() for n in lines]:
                if device == e.device and e.line in (0, line):
                    self.state.usual.forget((device, line))
            return now
        said = Finding(e.verdict, e.kind, e.device, e.line, e.ways, e.factor, e.others, 0.0, e.began)
        window = over(self._windows(e.began + QUARTER, skip=False), said)
        return window.start if window is not None else 0

    def _told(self, found: Finding) -> bool:
        """Whether it is said already, in these or other words of the same thing."""
        return any(
            e.kind in COUNTS and e.device == found.device and (not e.line or not found.line or e.line == found.line)
            for e in self.state.open
        )

    def _say(self, found: Finding, now: int) -> Episode:
        window = next(w for w in self._windows() if w.start == found.start)
        mine = [c for (line, way), c in window.cells.items() if way in found.ways and _of(found, line)]
        rest = [c for (line, _), c in window.cells.items() if not _of(found, line)]
        seen, usual = sum(c.seen for c in mine), sum(c.usual for c in mine)
        words = self._words(found, seen, usual, (sum(c.seen for c in rest), sum(c.usual for c in rest)))
        return Episode(
            found.verdict, found.kind, found.device, found.line, found.ways, found.start, now, 0, words, seen,
            round(usual, 1), found.factor, found.others,
        )  # fmt: skip

    def _words(self, found: Finding, seen: float, usual: float, rest: tuple[float, float]) -> str:
        since = self._clock(found.start)
        figures = f"{seen:.0f} since {since}, {usual:.0f} were usual"
        others = f"the other lines counted {rest[0]:.0f}, {rest[1]:.0f} were usual" if rest[1] else "it has no other line"
        name = self._name(found.device, found.line)
        if found.kind == "closed":
            return f"nobody comes or goes at any line: {figures}; all sensors report"
        if found.verdict == "store" and not found.device:
            return f"{'fewer' if found.kind == 'quiet' else 'more'} people than usual at all lines: {figures}"
        if found.kind == "door":
            return f"{name} is not used: {figures}; {others}, so its people took the other doors"
        if found.kind == "imbalance":
            way = "in" if found.ways == (0,) else "out"
            return f"{name} counts {'too few' if found.factor < 1 else 'too many'} people {way}: {figures}; {others}"
        if found.kind == "blind" and not rest[1]:
            return f"{name} counts nobody: {figures}, though people who came in have not left; {others}"
        verb = {"blind": "counts nobody", "undercounts": "counts too few", "overcounts": "counts too many"}[found.kind]
        return f"{name} {verb}: {figures}; {others}"

    def _night(self, now: int) -> list[Episode]:
        """The store is closed: what was odd about its day is over with it."""
        last = self.state.ring[-1].start + QUARTER if self.state.ring else now
        if now - last < 3600:
            return []
        return [_ended(e, last) for e in self.state.open if e.kind in COUNTS and e.verdict == "store"]

    # -- signs -----------------------------------------------------------------------------------------------------------

    def _of_signs(self, now: int, is_open: bool, heard: Mapping[str, Heard]) -> list[Episode]:
        signs: dict[tuple[str, str, int], tuple[str, Sign]] = {}
        for device, known in heard.items():
            if not known.last:
                continue
            told = self.sensor(device)
            if known.hour is not None:
                told.hourly = of_hour(known.hour, known.lost)
            if self._silent(device, known, now, is_open):
                minutes = (now - known.last) // MINUTE
                signs["silent", device, 0] = device, Sign("silent", 0, known.last, f"has sent nothing for {minutes} minutes")
                continue
            for sign in told.signs(known.interval_s):
                signs[sign.kind, device, sign.line] = device, sign
        signs = _together(signs, heard)
        there = {e.key: e for e in self.state.open if e.kind not in COUNTS}
        changed = [_ended(e, now) for key, e in there.items() if key not in signs]
        return changed + [self._sign(device, s, now) for key, (device, s) in signs.items() if key not in there]

    def _silent(self, device: str, known: Heard, now: int, is_open: bool) -> bool:
        """Silence begins while the store is open; once it was told, only the sensor ends it."""
        said = any(e.kind in ("silent", "connection") and e.device in ("", device) for e in self.state.open)
        return now - known.last > SILENT_PERIODS * known.interval_s + MINUTE and (is_open or said)

    def _sign(self, device: str, s: Sign, now: int) -> Episode:
        name = self._name(device, s.line)
        verdict = "connection" if s.kind == "connection" else "sensor"
        return Episode(verdict, s.kind, device, s.line, (0, 1), s.began, now, 0, f"{name} {s.words}", s.value, s.usual)

    # -- words -----------------------------------------------------------------------------------------------------------

    def _name(self, device: str, line: int) -> str:
        if not device:
            return self.site.name
        entry = self.site.entry(device)
        if line and (len(entry.lines) > 1 or not entry.name):
            return entry.line(line).name or f"line {line} of {entry.name or device}"
        return entry.name or device

    def _clock(self, epoch: int) -> str:
        minutes = local_start(self.site.zone, epoch) // 60 % 1440
        return f"{minutes // 60:02}:{minutes % 60:02}"


def _together(
    signs: dict[tuple[str, str, int], tuple[str, Sign]], heard: Mapping[str, Heard]
) -> dict[tuple[str, str, int], tuple[str, Sign]]:
    """All sensors of a store silent at once are no faults of sensors: nothing gets through."""
    silent = [s for (kind, _, _), (_, s) in signs.items() if kind == "silent"]
    known = [h for h in heard.values() if h.last]
    if len(known) < 2 or len(silent) < len(known):
        return signs
    began = max(s.began for s in silent)
    words = f"gets no report from any of its {len(known)} sensors: their network or power, or the way to here"
    left = {key: found for key, found in signs.items() if key[0] != "silent"}
    return left | {("connection", "", 0): ("", Sign("connection", 0, began, words))}


def _of(found: Finding, line: Line) -> bool:
    return (not found.device or line[0] == found.device) and (not found.line or line[1] == found.line)


def _holds(e: Episode, start: int) -> bool:
    return e.began < start + QUARTER and (not e.ended or start < e.ended)


def _ended(e: Episode, at: int) -> Episode:
    e.ended = max(at, e.began + 1)
    return e
