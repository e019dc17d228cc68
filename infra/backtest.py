"""`footstream backtest`: the product's own models over a file, strictly in time order.

A row of what is written depends only on rows of the input up to its own stamp.
"""

import csv
import gzip
import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta
from importlib.resources import files
from math import isfinite, nan
from pathlib import Path
from statistics import median
from typing import NamedTuple

from infra.errors import Problem
from operators.anomaly import MODELS
from operators.forecast import HourForecast
from operators.forecasters import Band
from operators.models import Point, slot_of
from operators.queues import Waiting
from operators.special_days import Calendar, plain_days

_EPOCH = datetime(1970, 1, 1)
_CALLS = ("date", "vru_line", "call_id", "priority", "type", "q_start", "q_exit", "outcome", "ser_start", "ser_exit", "server")
_ANOMALY = MODELS[0]


class Reading(NamedTuple):
    """One row of a series: its stamp as written, seconds since 1970 of that civil time, and the value; NaN is not measured."""

    stamp: str
    at: int
    value: float


class Series(NamedTuple):
    """Rows in order. `step`: seconds between rows. `ends`: whether stamps are the ends of intervals. `column`: time's name."""

    rows: list[Reading]
    step: int
    ends: bool
    column: str


def _lines(path: Path) -> list[list[str]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            return [row for row in csv.reader(file) if row]
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise Problem(f"cannot read {path}: {error}; give a CSV file, plain or .gz") from None


def _at(text: str, where: str) -> int:
    try:
        stamp = datetime.fromisoformat(text.strip())
    except ValueError:
        raise Problem(f"{where}: time {text!r} is not like 2026-03-01 09:30") from None
    if stamp.tzinfo is not None:
        raise Problem(f"{where}: time {text!r} carries a zone; give the clock on the wall")
    return int((stamp - _EPOCH).total_seconds())


def _value(text: str, where: str) -> float:
    if not text.strip():
        return nan
    try:
        found = float(text)
    except ValueError:
        raise Problem(f"{where}: {text!r} is not a number; leave it empty when it was not measured") from None
    return found if isfinite(found) else nan


def _calit2(rows: list[list[str]], path: Path, flows: str = "79") -> list[Reading]:
    """In (9) and out (7) of each half hour together, or those of `flows`."""
    sums: dict[int, float] = {}
    for number, row in enumerate(rows, 1):
        where = f"{path} row {number}"
        if len(row) != 4:
            raise Problem(f"{where}: not flow,date,time,count")
        try:
            stamp = datetime.strptime(f"{row[1]} {row[2]}", "%m/%d/%y %H:%M:%S")
        except ValueError:
            raise Problem(f"{where}: time {row[1]} {row[2]} is not like 07/24/05 00:30:00") from None
        if row[0] not in flows:
            continue
        at = int((stamp - _EPOCH).total_seconds())
        sums[at] = sums.get(at, 0.0) + _value(row[3], where)
    return [Reading((_EPOCH + timedelta(seconds=at)).isoformat(" "), at, value) for at, value in sorted(sums.items())]


def _is_calit2(rows: list[list[str]]) -> bool:
    return bool(rows) and rows[0][0] in ("7", "9") and len(rows[0]) == 4


def read_directions(path: Path) -> list[Series]:
    """In and out apart where a file has both (CalIt2), else its one series. Raises Problem in words."""
    rows = _lines(path)
    if not _is_calit2(rows):
        return [read_series(path)]
    return [Series(_calit2(rows, path, flow), 1800, True, "ts_local") for flow in ("7", "9") if any(r[0] == flow for r in rows)]


def read_series(path: Path) -> Series:
    """A series of counts or values. Raises Problem in words."""
    rows = _lines(path)
    if not rows:
        raise Problem(f"{path}: no rows; give a header and rows of time and count")
    if _is_calit2(rows):
        return Series(_calit2(rows, path), 1800, True, "ts_local")
    names = [name.strip().lower() for name in rows[0]]
    which = next((names.index(n) for n in ("count", "value") if n in names), None)
    if which is None or which == 0:
        raise Problem(f"{path}: header {','.join(names)!r} has no column count or value after the time")
    made_up = names.index("modelled") if "modelled" in names else None
    found = []
    for number, row in enumerate(rows[1:], 2):
        where = f"{path} row {number}"
        if len(row) != len(names):
            raise Problem(f"{where}: {len(row)} fields, the header has {len(names)}")
        missing = made_up is not None and row[made_up].strip() in ("1", "1.0")
        value = nan if missing else _value(row[which], where)
        # There are no negative counts, but there are negative values.
        found.append(Reading(row[0], _at(row[0], where), nan if value < 0.0 and names[which] == "count" else value))
    if any(b.at < a.at for a, b in itertools.pairwise(found)) and names[0] != "timestamp":
        found.sort(key=lambda r: r.at)
    gaps = [b.at - a.at for a, b in itertools.pairwise(found) if b.at > a.at]
    if not gaps:
        raise Problem(f"{path}: fewer than two rows at different times")
    return Series(found, max(1, int(median(gaps))), False, "timestamp" if names[0] == "timestamp" else "ts_local")


def _hours(series: Series) -> Iterator[tuple[int, float | None]]:
    """Every hour of the civil clock from the first to the last; None for one that was not measured as a whole."""
    if series.step > 3600 or 3600 % series.step:
        raise Problem(f"a step of {series.step} s does not divide an hour; forecasts are made by the hour")
    parts: dict[int, dict[int, float]] = {}
    for row in series.rows:
        start = row.at - series.step if series.ends else row.at
        parts.setdefault(start // 3600, {}).setdefault(start, row.value)
    for hour in range(min(parts), max(parts) + 1):
        found = parts.get(hour, {})
        total = sum(found.values())
        measured = len(found) == 3600 // series.step and all(v >= 0.0 for v in found.values())
        yield hour, total if measured else None


def country_of(zone: str) -> str:
    """ISO code of the country that a time zone lies in; empty when it is in none."""
    lines = files("tzdata").joinpath("zoneinfo/zone1970.tab").read_text(encoding="utf-8").splitlines() if zone else []
    found = [line.split("\t")[0] for line in lines if not line.startswith("#") and line.split("\t")[2] == zone]
    # The first of several is the one that the zone's city lies in.
    return found[0].split(",")[0] if found else ""


def _stamp(hour: int) -> str:
    return (_EPOCH + timedelta(hours=hour)).strftime("%Y-%m-%d %H:%M")


def forecast_rows(series: Series, calendar: Calendar = plain_days) -> Iterator[tuple[str, ...]]:
    """made_at, target, mean, lo, hi: one step every hour, 24 at midnight, six, noon and six."""
    model = HourForecast(calendar)
    for hour, value in _hours(series):
        model.learn(hour, value)
        steps = range(1, 25) if hour % 6 == 0 else (1,)
        for band in model.forecast(steps):
            yield _stamp(hour), _stamp(hour + band.step), *_shown(band)


def _shown(band: Band) -> tuple[str, ...]:
    return tuple(f"{people:.6g}" for people in (band.mean, band.points[1], band.points[4]))


def anomaly_rows(*directions: Series) -> Iterator[tuple[str, str]]:
    """Stamp as in the input, score: every row scored before it is learnt. Of several directions the more unusual one counts."""
    rows = list(_scores(directions[0]))
    if len(directions) > 1:
        best: dict[str, float] = {}
        for stamp, score in itertools.chain(rows, *map(_scores, directions[1:])):
            best[stamp] = max(score, best.get(stamp, 0.0))
        rows = sorted(best.items())
    for stamp, score in rows:
        yield stamp, f"{score:.9g}"


def _scores(series: Series) -> Iterator[tuple[str, float]]:
    model = _ANOMALY.fresh()
    for row in series.rows:
        start = row.at - series.step if series.ends else row.at
        point = Point(start, slot_of(start), row.value)
        yield row.stamp, model.score(point).score
        model.learn(point)


def queue_rows(path: Path) -> Iterator[tuple[str, str, str, str]]:
    """date, vru_line, call_id, wait_s for everyone who joins, in the order in which they join."""
    rows = _lines(path)
    lacking = [name for name in _CALLS if not rows or name not in rows[0]]
    if lacking:
        raise Problem(f"{path}: no column {', '.join(lacking)}; a call log has {', '.join(_CALLS)}")
    calls = [dict(zip(rows[0], row, strict=False)) for row in rows[1:]]
    queues: dict[bool, Waiting] = {}
    for at, _, number, what in sorted(_events(calls, path)):
        call = calls[number]
        # The internet team answers its own calls only: two queues.
        queue = queues.setdefault(call["type"] == "IN", Waiting())
        if what == "joined":
            priority = int(call["priority"]) if call["priority"].isdigit() else 0
            wait = queue.joined(at, str(number), call["type"], priority)
            yield call["date"], call["vru_line"], call["call_id"], f"{wait:.1f}"
        elif what == "served":
            queue.served(at, str(number), call["server"])
        else:
            getattr(queue, what)(at, str(number))


def _events(calls: list[dict[str, str]], path: Path) -> Iterator[tuple[int, int, int, str]]:
    """Time, order within a second, row, what: service ends, service begins or is given up, somebody joins; and who waits no
    whole second begins after joining."""
    for number, call in enumerate(calls):
        if call["outcome"] == "PHANTOM":
            continue
        where = f"{path} row {number + 2}"
        queued, served = call["q_start"] != "0:00:00", call["outcome"] == "AGENT"
        if queued:
            begin, end = (_clock(call["date"], call[name], where) for name in ("q_start", "q_exit"))
            yield begin, 3, number, "joined"
            yield max(begin, end), 4 if end <= begin else 1 if served else 2, number, "served" if served else "left"
        elif served:
            yield _clock(call["date"], call["ser_start"], where), 1, number, "served"
        if served:
            yield _clock(call["date"], call["ser_exit"], where), 0, number, "ended"


def _clock(day: str, clock: str, where: str) -> int:
    hours, _, rest = clock.partition(":")
    if not hours.isdigit():
        raise Problem(f"{where}: time {clock!r} is not like 10:05:30")
    return _at(f"{day} {int(hours):02}:{rest}", where)
