"""Forecast: people in for the next quarters and hours, of a store and of each of its entrances when it has several.

An hour is learnt once it has left the horizon, with what came late within it; then what comes is forecast, each store at its
own moment of the next five minutes: six hours every hour, two days four times a day, and the quarters of an hour that have not
begun yet. What was said is a record and never rewritten. An hour that the sensors covered badly is not learnt as a count; a
store that measured nothing for a week is forecast no more. At the end of each civil day it is written how good each model was.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from zlib import crc32

import msgspec

from flows.traffic import TrafficFlow
from operators.calendar import bucket, local_start
from operators.forecasters import FARTHEST
from operators.holiday_calendar import calendar_of
from operators.models import UnreadableState
from operators.moment import FOREVER, Context, Flow, Moment, Output, SiteFlow
from operators.past import Past
from operators.quarter_shares import QuarterShares, part_of
from operators.series_forecast import AHEAD, NAMES, NEAR, SeriesForecast, Told
from operators.sums import MEASURED, Series, Sums
from operators.traffic import Change
from schemas.alerts import Sample
from schemas.rows_forecast import Forecast, ForecastError
from schemas.sites import Site

SCHEMA = 1
QUARTER, HOUR = 900, 3600
LEAST_COVERAGE = 0.8
TURN_S = 300
"""Stores forecast at their own second of so many: all at once would stall the lane."""
FAR_EVERY = 6
"""Civil hours between two forecasts of the farther hours."""
KNOWN_HOURS = 24
"""Hours that have to be measured before anything is said."""
QUIET_S = 7 * 86400
JUDGED_S = 30 * 86400
HIGH, HIGH_PEOPLE, CLEAR = 1.5, 30.0, 1.25
"""High traffic: so many times the usual, and so many people more, with the usual below the 80 % interval; over below CLEAR."""

Key = tuple[str, int]
STORE: Key = ("", 0)


class Closed(msgspec.Struct, array_like=True):
    """An hour that left the horizon and is not learnt yet. `people`: by device and line; `quarters`: of the store."""

    start: int
    people: dict[str, dict[int, float | None]]
    quarters: list[float | None]


class _Saved(msgspec.Struct, array_like=True):
    """`next_quarter`: start of the quarter that leaves the horizon next, 0 before any."""

    schema: int
    next_quarter: int
    quarters: list[float | None]
    closed: list[Closed]
    series: dict[str, dict[int, bytes]]
    shares: bytes
    hours: int
    measured: int


class ForecastFlow:
    """Forecasts of one store. Models are kept as bytes between their hours: ten thousand stores would not fit otherwise."""

    def __init__(self, site: Site, state: bytes | None, traffic: TrafficFlow) -> None:
        self.site, self.traffic = site, traffic.traffic
        self.saved = msgspec.msgpack.decode(state, type=_Saved) if state else _Saved(SCHEMA, 0, [], [], {}, b"", 0, 0)
        self.turn = crc32(site.id.encode()) % TURN_S
        doors = [(d.id, line.number) for d in site.devices.values() for line in d.lines.values() if line.role == "entrance"]
        self.keys: list[Key] = [STORE, *(doors if len(doors) > 1 else [])]

    def take(self, m: Moment) -> None:
        """Only time counts."""

    def take_plains(self, reports: object, changes: list[Change] | None, now: int) -> None:
        """Only time counts."""

    # -- when ----------------------------------------------------------------------------------------------------------------

    def due(self) -> int:
        s = self.saved
        if not s.next_quarter:
            return 0
        learn = s.closed[0].start + HOUR + self.traffic.horizon + self.turn if s.closed else FOREVER
        return min(s.next_quarter + QUARTER + self.traffic.horizon, learn)

    def advance(self, m: Moment) -> None:
        s = self.saved
        if not s.next_quarter:
            s.next_quarter = m.now - m.now % QUARTER
        if s.next_quarter + QUARTER + self.traffic.horizon <= m.now:
            self._leave(s.next_quarter)
            s.next_quarter += QUARTER
        if s.closed and s.closed[0].start + HOUR + self.traffic.horizon + self.turn <= m.now:
            self._learn(s.closed.pop(0), m)

    def _leave(self, start: int) -> None:
        """A quarter leaves the horizon, and with the last one of it an hour."""
        s, zone = self.saved, self.site.zone
        s.quarters.append(self._counted(self.traffic.quarter(start), QUARTER * self.traffic.entrances))
        hour, end = bucket(zone, start, "1h")
        if start + QUARTER < end:
            return
        people: dict[str, dict[int, float | None]] = {}
        for device, line in self.keys:
            series = self._series(device, line)
            doors = self.traffic.entrances if (device, line) == STORE else 1
            sums = series.buckets.get("1h", {}).get(hour) if series is not None else None
            people.setdefault(device, {})[line] = self._counted(sums, (end - hour) * doors)
        s.closed.append(Closed(hour, people, s.quarters))
        s.quarters = []

    def _series(self, device: str, line: int) -> Series | None:
        state = self.traffic.state
        return state.total if (device, line) == STORE else state.lines.get(device, {}).get(line)

    @staticmethod
    def _counted(sums: Sums | None, expected: int) -> float | None:
        if sums is None or sums[MEASURED] < LEAST_COVERAGE * expected:
            return None
        return float(sums[0])

    # -- what ----------------------------------------------------------------------------------------------------------------

    def _civil(self, start: int) -> int:
        """Hour of the civil clock since 1970."""
        return local_start(self.site.zone, start) // HOUR

    def _load(self, device: str, line: int) -> SeriesForecast:
        calendar = calendar_of(self.site)
        try:
            return SeriesForecast(calendar, self.saved.series.get(device, {}).get(line))
        except UnreadableState:
            return SeriesForecast(calendar)

    def _keep(self, device: str, line: int, series: SeriesForecast) -> None:
        self.saved.series.setdefault(device, {})[line] = series.to_bytes()

    def _learn(self, closed: Closed, m: Moment) -> None:
        """Learn an hour, then say what comes."""
        s, civil = self.saved, self._civil(closed.start)
        shares = QuarterShares(s.shares)
        shares.learn(civil, closed.quarters)
        s.shares = shares.to_bytes()
        if any(p is not None for lines in closed.people.values() for p in lines.values()):
            s.hours, s.measured = s.hours + 1, closed.start
        says = s.hours >= KNOWN_HOURS and closed.start - s.measured < QUIET_S
        targets = self._targets(closed.start, FARTHEST if (civil + 1) % FAR_EVERY == 0 else NEAR) if says else {}
        for device, line in self.keys:
            series = self._load(device, line)
            series.learn(civil, closed.people.get(device, {}).get(line))
            if says and series.champion.at == civil:
                bands = self._say(series, targets, (device, line), m)
                if (device, line) == STORE:
                    self._say_quarters(bands, targets, shares, m)
                    self._high(series, bands, targets, m)
                if (civil + 1) % 24 == 0:
                    self._judge(series, (device, line), bucket(self.site.zone, closed.start, "1h")[1], m.out)
            self._keep(device, line, series)

    def _targets(self, start: int, hours: int) -> dict[int, int]:
        """Starts (epoch s) of the hours after one -> steps of the civil clock."""
        found, zone, civil = {}, self.site.zone, self._civil(start)
        for _ in range(hours):
            start = bucket(zone, start, "1h")[1]
            step = self._civil(start) - civil
            if 1 <= step <= FARTHEST:
                found[start] = step
        return found

    def _say(self, series: SeriesForecast, targets: Mapping[int, int], key: Key, m: Moment) -> dict[int, Told]:
        """Forecast hours; what was told, by step."""
        told = {t.band.step: t for t in series.tell(targets.values())}
        rows = m.out.rows.setdefault("forecast", [])
        for target, step in targets.items():
            if step in told:
                rows.append(self._row(key, "1h", target, m.now, told[step]))
        return told

    def _say_quarters(self, told: Mapping[int, Told], targets: Mapping[int, int], shares: QuarterShares, m: Moment) -> None:
        """Forecast the quarters of the running hour and of the next that are still to come."""
        rows = m.out.rows.setdefault("forecast", [])
        for hour, (model, band) in self._coming(told, targets, m.now - HOUR)[:2]:
            for i, share in enumerate(shares.shares(self._civil(hour))):
                if hour + i * QUARTER >= m.now:
                    quarter = Told(model, part_of(band, share))
                    rows.append(self._row(STORE, "15m", hour + i * QUARTER, m.now, quarter))

    def _coming(self, told: Mapping[int, Told], targets: Mapping[int, int], after: int) -> list[tuple[int, Told]]:
        """Hours that begin after a moment, with what was told of them."""
        return [(hour, told[step]) for hour, step in targets.items() if hour > after and step in told]

    def _row(self, key: Key, step: str, target: int, made: int, told: Told) -> tuple[Any, ...]:
        """A row of `Forecast`, in the order of its columns."""
        device, line = key
        section = "line" if device else "site"
        lo95, lo80, lo50, hi50, hi80, hi95 = (round(p, 2) for p in told.band.points)
        ends = (lo50, hi50, lo80, hi80, lo95, hi95)
        return (self.site.id, section, device, line, step, target, made, round(told.band.mean, 2), *ends, told.model)

    def _judge(self, series: SeriesForecast, key: Key, at: int, out: Output) -> None:
        """How good each model was."""
        device, line = key
        for ahead, record in zip(AHEAD, series.records, strict=True):
            for i, (model, rolling) in enumerate(zip(NAMES, record.rolling, strict=True)):
                if not rolling.n:
                    continue
                covered = record.covered if i == record.speaks else [None] * 3
                row = ForecastError.row(
                    site=self.site.id,
                    section="line" if device else "site",
                    device=device,
                    part=line,
                    ahead=ahead,
                    model=model,
                    at=at,
                    error=round(rolling.error, 3),
                    late_error=round(rolling.late, 3),
                    bias=round(rolling.bias, 3),
                    champion_error=round(rolling.champion, 3),
                    hours=rolling.n,
                    speaks=int(i == record.speaks),
                    covered50=covered[0],
                    covered80=covered[1],
                    covered95=covered[2],
                )
                out.rows.setdefault("forecast_error", []).append(row)

    def _high(self, series: SeriesForecast, told: Mapping[int, Told], targets: Mapping[int, int], m: Moment) -> None:
        """Whether the next hour that has not begun will be unusually busy."""
        coming = self._coming(told, targets, m.now)
        usual = series.champion.usual(self._civil(coming[0][0])) if coming else None
        if usual is None:
            return
        target, (_, band) = coming[0]
        high = band.mean >= HIGH * usual and band.mean >= usual + HIGH_PEOPLE and band.points[1] > usual
        local = datetime.fromtimestamp(local_start(self.site.zone, target), UTC)
        text = (
            f"{self.site.name}: about {band.mean:.0f} people expected from {local:%H:%M} to {(local.hour + 1) % 24:02}:00 "
            f"({band.points[1]:.0f} to {band.points[4]:.0f}), usual are {usual:.0f} on a {_DAYS[local.weekday()]}"
        )
        cleared = band.mean < max(CLEAR * usual, usual + 0.5 * HIGH_PEOPLE)
        m.notes["forecast"] = Sample(m.now_ms, high, cleared and not high, band.mean, text, "high_traffic_expected")

    # -- after a loss of state, and out ----------------------------------------------------------------------------------------

    def seed(self, past: Past) -> None:
        """Learn the hours before a reset again, as they were known then, and judge those of the last month."""
        s = self.saved
        s.next_quarter = -(-past.begin // QUARTER) * QUARTER
        for device, line in self.keys:
            series = self._load(device, line)
            for start, people in past.hours.get((device, line), ()):
                series.learn(self._civil(start), people)
                if start >= past.begin - JUDGED_S:
                    series.tell(())
            self._keep(device, line, series)
        known = [start for hours in past.hours.values() for start, people in hours if people is not None]
        s.hours, s.measured = len(set(known)), max(known, default=0)
        self._seed_shares(past)

    def _seed_shares(self, past: Past) -> None:
        shares, quarters = QuarterShares(), dict(past.quarters)
        for start, _ in past.hours.get(STORE, ()):
            shares.learn(self._civil(start), [quarters.get(start + i * QUARTER) for i in range(HOUR // QUARTER)])
        self.saved.shares = shares.to_bytes()

    def dirty(self) -> bool:
        return False

    def flush(self, now: int, force: bool, out: Output) -> None:
        """Forecasts are written when they are said."""

    def state(self) -> bytes:
        return msgspec.msgpack.encode(self.saved)


_DAYS = dict(enumerate(("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")))


def _build(site: Site, state: bytes | None, upstream: Mapping[str, SiteFlow], context: Context) -> SiteFlow:
    return ForecastFlow(site, state, cast(TrafficFlow, upstream["traffic"]))


def _report(start: datetime) -> tuple[str, bytes]:
    """25 people in within a quarter of an hour; it arrives two seconds after its end."""
    end = start + timedelta(minutes=15)
    window = f'"start_time": "{start.isoformat()}", "end_time": "{end.isoformat()}"'
    head = f'"device_info": {{"device_sn": "6537F28778010000"}}, "time_info": {{{window}}}'
    payload = f'{{{head}, "line_periodic_data": [{{"line": 1, "in": 25, "out": 20}}]}}'
    return (end + timedelta(seconds=2)).isoformat(), payload.encode()


# A hundred people in every hour. The first report begins the store's time; of the 24 hours from then on the last one is learnt
# at 23:18:06 (its end, 15 minutes, and the turn of the store "shop"), and hour 23 an hour later. That ends a civil day.
SAMPLE = [_report(datetime(2026, 7, 30, 22, 45, tzinfo=UTC) + timedelta(minutes=15 * n)) for n in range(1 + 4 * 25 + 2)]
_MADE = ("2026-07-31T23:18:06Z", "2026-08-01T00:18:06Z")


def _told(step: str, first: str, minutes: int, times: int, made: str, mean: float) -> list[dict[str, object]]:
    begin = datetime.fromisoformat(first)
    targets = [begin + timedelta(minutes=n * minutes) for n in range(times)]
    return [{"step": step, "target": f"{t:%Y-%m-%dT%H:%M:%SZ}", "made_at": made, "mean": mean} for t in targets]


EXPECTED: dict[str, list[dict[str, object]]] = {
    "forecast": sorted(
        [
            *_told("15m", "2026-07-31T23:30:00Z", 15, 6, _MADE[0], 25.0),
            *_told("15m", "2026-08-01T00:30:00Z", 15, 6, _MADE[1], 25.0),
            *_told("1h", "2026-07-31T23:00:00Z", 60, 6, _MADE[0], 100.0),
            *_told("1h", "2026-08-01T00:00:00Z", 60, 48, _MADE[1], 100.0),
        ],
        key=lambda row: (str(row["step"]), str(row["target"]), str(row["made_at"])),
    ),
    "forecast_error": [
        {"ahead": 1, "model": NAMES[0], "at": "2026-08-01T00:00:00Z", "error": 0.0, "hours": 1, "speaks": 1, "covered80": 1.0}
    ],
}

FLOW = Flow(
    name="forecast",
    summary="people in for the next quarters of an hour to two days, of stores and entrances",
    after=("traffic",),
    tables=(Forecast, ForecastError),
    build=_build,
)
