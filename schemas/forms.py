"""Short forms of rows, for what a lane writes by the ten thousand.

A form is another shape of rows of one table: something short in which they travel, and how the table's columns are read from
it. Columns that hold one value in all rows are named once. Short rows travel under the form's name, beside the rows of tables.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from schemas.events import Plain, ids_of
from schemas.rows import LineMinutes, Observations, SiteMinutes
from schemas.tables import Table


class Same(Sequence[Any]):
    """A column that holds one value in every row."""

    __slots__ = ("size", "value")

    def __init__(self, value: Any, size: int) -> None:
        self.value, self.size = value, size

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, at: int) -> Any: ...
    @overload
    def __getitem__(self, at: slice) -> "Same": ...
    def __getitem__(self, at: int | slice) -> Any:
        if isinstance(at, slice):
            return Same(self.value, len(range(*at.indices(self.size))))
        if not -self.size <= at < self.size:
            raise IndexError(at)
        return self.value


Numbers = npt.NDArray[Any]
Columns = dict[str, Any]
"""By name; a column is a sequence of values, or an array of whole numbers."""


def plain_values(column: Any) -> Sequence[Any]:
    """A column as Python values."""
    return column.tolist() if isinstance(column, np.ndarray) else column  # type: ignore[no-any-return]


class Form:
    """One short form of a table. `read`: short rows (at least one) -> columns by name; `same`: those that hold one value."""

    def __init__(self, name: str, table: type[Table], read: Callable[[Sequence[Any]], Columns], **same: Any) -> None:
        self.name, self.table, self.read, self.same = name, table, read, same
        FORMS[name] = self

    def columns(self, short: Sequence[Any]) -> list[Any]:
        """The table's columns for short rows (at least one)."""
        given = self.read(short)
        size = len(next(iter(given.values())))
        return [Same(self.same[name], size) if name in self.same else given[name] for name in self.table.columns]

    def rows(self, short: Sequence[Any]) -> list[tuple[Any, ...]]:
        """The table's rows for short ones."""
        return list(zip(*map(plain_values, self.columns(short)), strict=True)) if short else []


FORMS: dict[str, Form] = {}
"""All short forms by the name under which their rows travel."""


def whole_rows(rows: Mapping[str, list[Any]]) -> dict[str, list[tuple[Any, ...]]]:
    """Rows by table, short ones written out."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    for name, held in rows.items():
        form = FORMS.get(name)
        table, whole = (name, held) if form is None else (form.table.name, form.rows(held))
        found.setdefault(table, []).extend(whole)
    return found


class Repeated(Sequence[Any]):
    """A column in which each value stands as often as `times` says."""

    __slots__ = ("times", "values")

    def __init__(self, values: Sequence[Any], times: Sequence[int]) -> None:
        self.values, self.times = values, times

    def __len__(self) -> int:
        return sum(self.times)

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(map(repeat, self.values, self.times))

    def __getitem__(self, at: Any) -> Any:
        return list(self)[at]


def _numbers(values: Sequence[int]) -> Numbers:
    return np.array(values, np.int64)


def _flat(lists: Iterable[Iterable[int]]) -> Numbers:
    return np.fromiter(chain.from_iterable(lists), np.int64)


RANK = 1 << 63
"""See `Observations.rank`."""


def _windows(reports: Sequence[Plain]) -> Columns:
    """Plain reports as observations: one row for each line of each."""
    lines, places = [r.lines for r in reports], _numbers([r.place for r in reports])
    times = list(map(len, lines))
    start, end = (np.repeat(_numbers(c), times) for c in ([r.start for r in reports], [r.end for r in reports]))
    arrival, place = np.repeat(_numbers([r.arrival for r in reports]), times), np.repeat(places, times)
    counts = _flat([r.counts for r in reports])
    return {
        "site": Repeated([r.site for r in reports], times),
        "device": Repeated([r.device for r in reports], times),
        "event_id": np.array(ids_of(reports), np.uint64),
        "part": _flat(lines),
        "start": start,
        "end": end,
        "resolution_s": end - start,
        "people_in": counts[::2],
        "people_out": counts[1::2],
        "dialect": Repeated([r.dialect for r in reports], times),
        "device_time": Repeated([r.time_text for r in reports], times),
        "skew_s": arrival // 1000 - end,
        "arrival_ms": arrival,
        "partition_no": place >> 48,
        "position": place & (1 << 48) - 1,
        "rank": np.uint64(RANK) - arrival.astype(np.uint64),
    }


MinuteRun = tuple[str, str, int, Sequence[int], Sequence[int], Sequence[int], Sequence[int], int, int]
"""Minutes of one line that one report each covered whole: store, device, line; their starts, people in, people out, arrivals;
how many of the first ones are complete; the revision of all."""


def _line_minutes(runs: Sequence[MinuteRun]) -> Columns:
    site, device, line, minutes, people_in, people_out, known, complete, revision = zip(*runs, strict=True)
    times = np.array(list(map(len, minutes)))
    return {
        "site": Repeated(site, times.tolist()),
        "device": Repeated(device, times.tolist()),
        "line": np.repeat(_numbers(line), times),
        "minute": _flat(minutes),
        "people_in": _flat(people_in),
        "people_out": _flat(people_out),
        "complete": _first(complete, times),
        "revision": np.repeat(_numbers(revision), times),
        "known_at_ms": _flat(known),
    }


SiteRun = tuple[str, Numbers, Numbers, Numbers, Numbers, Numbers, int, int, int]
"""Minutes of a store, each of which reports over a minute covered whole: its name; their starts, people in, people out, number
of reports, newest arrivals; how many of the first ones are complete; seconds that could be covered; the revision before all."""


def _site_minutes(runs: Sequence[SiteRun]) -> Columns:
    site, minutes, people_in, people_out, reports, known, complete, expected, base = zip(*runs, strict=True)
    times, n = np.array(list(map(len, minutes))), np.concatenate(reports)
    return {
        "site": Repeated(site, times.tolist()),
        "minute": np.concatenate(minutes),
        "people_in": np.concatenate(people_in),
        "people_out": np.concatenate(people_out),
        "measured_s": 60 * n,
        "expected_s": np.repeat(_numbers(expected), times),
        "complete": _first(complete, times),
        "revision": np.repeat(_numbers(base), times) + n,
        "known_at_ms": np.concatenate(known),
    }


def _first(many: Sequence[int], times: Numbers) -> Numbers:
    """1 for the first so many rows of each run, 0 for the rest."""
    place = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)  # of the row in its run
    first: Numbers = (place < np.repeat(_numbers(many), times)).astype(np.int64)
    return first


def _tuples(table: type[Table], same: Mapping[str, Any]) -> Callable[[Sequence[Any]], Columns]:
    """Tuples of the columns that are not in `same`, in order."""
    names = [name for name in table.columns if name not in same]
    return lambda short: dict(zip(names, zip(*short, strict=True), strict=True))


_NO_CLASSES = dict.fromkeys(("child_in", "child_out", "staff_in", "staff_out", "group_in", "group_out"))
_OBSERVED = {"section": "line", "kind": "window", "present": None, "detail": "", "clock": "device", "flags": "", "topic": "raw"}
PLAIN_WINDOWS = Form("observations of plain windows", Observations, _windows, **_NO_CLASSES, **_OBSERVED)
"""Observations of plain reports (`schemas.events.Plain`) in the topic `raw`; a short row is such a report."""
MINUTE_RUNS = Form("line_minutes in runs", LineMinutes, _line_minutes, **_NO_CLASSES, measured_s=60, resolution_s=60)
"""A short row is a `MinuteRun`."""
PLAIN_LINE_MINUTES = Form("line_minutes without classes", LineMinutes, _tuples(LineMinutes, _NO_CLASSES), **_NO_CLASSES)
PLAIN_SITE_MINUTES = Form("site_minutes without classes", SiteMinutes, _tuples(SiteMinutes, _NO_CLASSES), **_NO_CLASSES)
SITE_RUNS = Form("site_minutes in runs", SiteMinutes, _site_minutes, **_NO_CLASSES)
"""A short row is a `SiteRun`."""
