"""Count series (a table of people per interval) as the window reports of a VS133 that would have counted them.

Stamps are civil time without zone, of the start or of the end of each interval. In the hour that a change of clocks repeats, a
stamp means the first pass; a stamp that a change of clocks skips does not exist and is refused.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from operators.simulator.dialects import Message, payload
from operators.simulator.sensing import Eye, Sensor, Tally
from schemas.sites import Device, Line

STAMPS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%m/%d/%y %H:%M:%S", "%d/%m/%Y %H:%M")
_TIMES, _INS, _OUTS = (
    ("end", "start", "time", "timestamp", "ts_local"),
    ("in", "people_in", "count", "value"),
    ("out", "people_out"),
)


class SeriesError(ValueError):
    """The table cannot be read as counts: says which row or column and what is wanted."""


class Count(NamedTuple):
    """People of one interval; `stamp` is civil time without zone."""

    stamp: datetime
    people_in: int
    people_out: int


class Told(NamedTuple):
    """One report: epoch seconds of its window's end, and its payload."""

    end: int
    payload: bytes


def stamp_of(text: str) -> datetime:
    """A civil time in one of the usual spellings. Raises SeriesError."""
    for form in STAMPS:
        try:
            return datetime.strptime(text.strip(), form)
        except ValueError:
            continue
    raise SeriesError(f"time {text!r} is not like 2026-03-01 09:30:00")


def _number(text: str) -> int:
    try:
        value = float(text)
    except ValueError:
        raise SeriesError(f"count {text!r} is not a number") from None
    if not value >= 0 or value != int(value):
        raise SeriesError(f"count {text!r} is not a whole number of people")
    return int(value)


def read_calit2(rows: Iterable[Sequence[str]]) -> list[Count]:
    """Rows of CalIt2.data: flow (7 out, 9 in), MM/DD/YY, time, count; stamps are the ends of half hours."""
    counts: dict[datetime, list[int]] = {}
    for row in rows:
        if len(row) != 4 or row[0] not in ("7", "9"):
            raise SeriesError(f"row {','.join(row)!r} is not flow,date,time,count with flow 7 or 9")
        counts.setdefault(stamp_of(f"{row[1]} {row[2]}"), [0, 0])[row[0] == "7"] += _number(row[3])
    return [Count(stamp, into, out) for stamp, (into, out) in sorted(counts.items())]


def read_table(rows: Sequence[Sequence[str]]) -> tuple[list[Count], bool]:
    """Rows below a header with a time column, `in` (or `count`) and perhaps `out`; and whether the stamps are ends."""
    names = [name.strip().lower() for name in rows[0]]

    def column(wanted: Sequence[str]) -> int | None:
        return next((names.index(n) for n in wanted if n in names), None)

    when, into, out = column(_TIMES), column(_INS), column(_OUTS)
    if when is None or into is None:
        raise SeriesError(f"header {','.join(names)!r} has no column {' or '.join(_TIMES)} and {' or '.join(_INS)}")
    counts = []
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(names):
            raise SeriesError(f"row {number}: {len(row)} fields, the header has {len(names)}")
        counts.append(Count(stamp_of(row[when]), _number(row[into]), _number(row[out]) if out is not None else 0))
    return counts, names[when] not in ("start", "ts_local")


def epoch_of(stamp: datetime, zone: str) -> int | None:
    """Epoch of a civil time: the first pass of a repeated one, None for one that does not exist."""
    aware = stamp.replace(tzinfo=ZoneInfo(zone))
    epoch = int(aware.timestamp())
    return epoch if datetime.fromtimestamp(epoch, UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) == stamp else None


def interval_of(counts: Sequence[Count]) -> int:
    """The shortest distance of two neighbouring stamps in seconds; 1800 for a single row."""
    gaps = [int((b.stamp - a.stamp).total_seconds()) for a, b in itertools.pairwise(counts)]
    return min((g for g in gaps if g > 0), default=1800)


def reports(counts: Sequence[Count], device: str, zone: str, interval_s: int, ends: bool) -> Iterator[Told]:
    """The window reports in order. Rows at a time that does not exist are left out; `missing` counts them."""
    entry = Device(device.lower(), "Replay", "VS133", {1: Line(1, "Line1")}, interval_s=interval_s)
    sensor = Sensor(entry, device, "vs13x", (Eye(1, 0),))
    total, boot = Tally(), None
    for count in counts:
        end = epoch_of(count.stamp if ends else count.stamp + timedelta(seconds=interval_s), zone)
        if end is None:
            continue
        boot = boot if boot is not None else end - interval_s - 60
        now = Tally(people_in=count.people_in, people_out=count.people_out)
        total.merge(now)
        yield Told(end, payload(Message(sensor, "replay", zone, end - interval_s, end, {1: now}, {1: total}, end - boot)))


def missing(counts: Sequence[Count], zone: str, interval_s: int, ends: bool) -> int:
    """Rows whose time does not exist in that zone."""
    return sum(epoch_of(c.stamp if ends else c.stamp + timedelta(seconds=interval_s), zone) is None for c in counts)
