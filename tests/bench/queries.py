"""The queries of the boards on a year of one-minute rows of 100 stores: every panel as the read-only user asks it, over HTTP.

Made inside the store with SQL, month by month: two entrances a store, a state for each report of the newest 35 days (older
open states are gone by then), and 35 days of observations, of which the boards read two. Each query runs once cold and then
15 times; parameters move by a minute each time, so that no answer is remembered. `--out` has every figure.
"""

import time
from collections.abc import Iterator
from itertools import pairwise
from statistics import median, quantiles
from typing import Any, NamedTuple

from connectors.clickhouse import Store
from dashboards.board import Board, Panel, boards
from dashboards.macros import as_parameters
from dashboards.web.figures import DAY, MOST_ROWS, QUALITY_SQL, SERIES, Series
from dashboards.web.panels import step_of
from infra.migrate import migrate
from infra.stores import open_store
from schemas.rows import TABLES
from schemas.tables import GENERATION
from tests.support.seed import SATURDAY
from tests.support.store import StoreProcess

STORES, DAYS, OPEN_DAYS, RUNS = 100, 365, 35, 15
NOW = SATURDAY
ONE = "store-007"
Row = dict[str, Any]

_STORE = "concat('store-', leftPad(toString(store), 3, '0'))"
_DEVICE = "concat('6537c', leftPad(toString(store), 3, '0'), toString(door))"
_RANDOM = "(cityHash64(at, store, {salt}) % 1000 / 1000)"
_HOUR = "toHour(toTimeZone(toDateTime(at, 'UTC'), 'Europe/Berlin'))"
# People a minute through a door: closed at night, most in the afternoon, stores of unequal size.
_RATE = f"if({_HOUR} BETWEEN 9 AND 20, (1 + store % 7) * exp(-pow(({_HOUR} - 15) / 4, 2)), 0)"
_COUNT = f"toUInt32({_RATE} * 2 * {_RANDOM})"
_IN, _OUT = _COUNT.replace("{salt}", "door"), _COUNT.replace("{salt}", "door + 9")
_KNOWN = "toInt64(at) * 1000 + 61000 + cityHash64(at, store, door) % 4000"
_NONE = dict.fromkeys(("child_in", "child_out", "staff_in", "staff_out", "group_in", "group_out"), "NULL")


def _insert(table: str, source: str, **given: str) -> str:
    """INSERT of a SELECT with an expression for each column of the table."""
    columns = TABLES[table].columns
    missing = columns.keys() - given.keys()
    assert not missing and not given.keys() - columns.keys(), (table, missing)
    chosen = ", ".join(f"{given[name]}" for name in columns)
    return f"INSERT INTO {TABLES[table].stored()} ({', '.join(columns)}) SELECT {chosen} FROM ({source})"


def _points(start: int, end: int, step: int = 60, doors: int = 1) -> str:
    """Columns `store`, `door` and `at` (epoch seconds), in the order of the keys."""
    number = (end - start) // step
    return (
        f"SELECT intDiv(number, {number * doors}) AS store, intDiv(number, {number}) % {doors} AS door, "
        f"{start} + number % {number} * {step} AS at FROM numbers({STORES * doors * number})"
    )


def _minutes(start: int, end: int) -> Iterator[str]:
    revision = {"revision": f"{GENERATION} + 1", "known_at_ms": _KNOWN}
    both = f"({_IN} + {_IN.replace('door', '(door + 1)')})", f"({_OUT} + {_OUT.replace('door', '(door + 1)')})"
    yield _insert(
        "line_minutes", _points(start, end, doors=2), site=_STORE, device=_DEVICE, line="1", minute="at", people_in=_IN,
        people_out=_OUT, measured_s="60", resolution_s="60", complete="1", **revision, **_NONE,
    )  # fmt: skip
    newest = NOW - OPEN_DAYS * DAY
    states = [(1, start, end, 2)] + ([(0, max(start, newest), end, 1)] if end > newest else [])
    for complete, first, last, n in states:
        state = {"complete": str(complete), "revision": f"{GENERATION} + {n}", "known_at_ms": _KNOWN}
        yield _insert(
            "site_minutes", _points(first, last), site=_STORE, minute="at", people_in=both[0] if n > 1 else _IN,
            people_out=both[1] if n > 1 else _OUT, measured_s=str(60 * n), expected_s="120", **state, **_NONE,
        )  # fmt: skip
        level = f"(20 + 9 * ({_RATE}) * (1 + {_RANDOM.replace('{salt}', '3')} / 3))"
        half = f"(1 + {_RANDOM.replace('{salt}', '4')} * 2)"
        yield _insert(
            "occupancy", _points(first, last), site=_STORE, minute="at", estimate=level, low=f"{level} - {half}",
            high=f"{level} + {half}", raw=f"toInt32({level})", mode="'learnt'", limit_operational="80 + store",
            limit_legal="100 + store", over_operational=f"exp(-{half} * 9)", over_legal=f"exp(-{half} * 12)",
            coverage=f"1 - {_RANDOM.replace('{salt}', '5')} / 100", factors_revision=f"toUInt32(intDiv(at, {DAY}) - 20000)",
            **state,
        )  # fmt: skip


def _buckets() -> Iterator[str]:
    """Quarters, hours and days from the minutes; then a row for each report of those of the newest days."""
    zone = "'Europe/Berlin'"
    starts = {
        "15m": ("toStartOfFifteenMinutes(minute)", "900"),
        "1h": ("toStartOfHour(minute)", "3600"),
        "1d": (f"toDateTime(toStartOfDay(toTimeZone(minute, {zone})), 'UTC')", str(DAY)),
    }
    for name, source, keys in (("site", "site_minutes", "site"), ("line", "line_minutes", "site, device, line")):
        for step, (start, seconds) in starts.items():
            reports = "2" if name == "site" else "1"
            offset = f"timeZoneOffset(toTimeZone(start, {zone}))"
            given = {
                **{key: key for key in keys.split(", ")}, **_NONE, "step": f"'{step}'", "start": "start",
                "end": f"start + {seconds}", "local_start": f"toDateTime64(start + {offset}, 0, 'UTC')",
                "utc_offset_s": offset, "measured_s": "measured", "expected_s": f"{seconds} * {reports}",
            }  # fmt: skip
            made = (
                f"SELECT {keys}, {start} AS start, sum(people_in) AS ins, sum(people_out) AS outs, sum(measured_s) AS measured,"
                " "
                f"max(known_at_ms) AS known, count() AS minutes FROM {TABLES[source].stored()} "
                f"WHERE complete = 1 GROUP BY {keys}, start"
            )
            closed = "end + 900 <= {NOW}".replace("end", given["end"]).replace("{NOW}", f"toDateTime({NOW}, 'UTC')")
            yield _insert(
                f"{name}_buckets", f"{made} ORDER BY {keys}, start", people_in="ins", people_out="outs", complete=closed,
                revision=f"{GENERATION} + minutes * {reports}", known_at_ms="known", **given,
            )  # fmt: skip
            share = f"(n / ({int(seconds) // 60} * {reports}))"
            made = made.replace("complete = 1", f"complete = 1 AND minute >= toDateTime({NOW - OPEN_DAYS * DAY}, 'UTC')")
            yield _insert(
                f"{name}_buckets",
                f"SELECT *, arrayJoin(range(1, toUInt64(minutes * {reports} + 1))) AS n FROM ({made}) "
                f"ORDER BY {keys}, start, n",
                people_in=f"toUInt32(ins * {share})", people_out=f"toUInt32(outs * {share})", complete="0",
                revision=f"{GENERATION} + n", known_at_ms=f"toInt64(toUnixTimestamp(start)) * 1000 + n * 60000 / {reports}",
                **(given | {"measured_s": f"toUInt32(n * 60 / {reports})"}),
            )  # fmt: skip


def _others() -> Iterator[str]:
    """Observations of the newest days, what was refused, scores, alerts and the registry."""
    start, end = (NOW - OPEN_DAYS * DAY) // 60 * 60, NOW // 60 * 60
    position = f"intDiv(at - {start}, 60) * {STORES * 2} + store * 2 + door"
    place = {"topic": "'raw'", "partition_no": "store % 8", "position": position}
    counts = dict.fromkeys(_NONE, "NULL") | {"present": "NULL", "people_in": _IN, "people_out": _OUT}
    yield _insert(
        "observations", _points(start, end, doors=2), site=_STORE, device=_DEVICE, event_id="cityHash64(at, store, door)",
        section="'line'", kind="'window'", part="1", start="at - 60", end="at", resolution_s="60", detail="''",
        dialect="'vs13x'", device_time="concat(replace(toString(toDateTime(at, 'UTC')), ' ', 'T'), '+00:00')",
        clock="'device'", flags="''", skew_s="toInt32(cityHash64(at, store) % 5)", arrival_ms=_KNOWN,
        rank=f"9223372036854775808 - ({_KNOWN})", **counts, **place,
    )  # fmt: skip
    other = {"site": _STORE, "device": _DEVICE, "arrived": "at + 2"}
    yield _insert("duplicates", f"SELECT * FROM ({_points(start, end, 6000, 2)})", **other, **place)
    yield _insert(
        "quarantine", _points(start, end, 12_000, 2), item="0", reason="'not_json'", place="'byte 17'",
        detail="'truncated after 17 bytes'", partial="0", size="17", payload="'{'", **other, **place,
    )  # fmt: skip
    score = _RANDOM.replace("{salt}", "6")
    yield _insert(
        "anomalies", _points(NOW - DAYS * DAY, NOW, 900), site=_STORE, start="toStartOfFifteenMinutes(toDateTime(at, 'UTC'))",
        value=f"{_RATE} * 15", expected=f"{_RATE} * 15 + {score}", low=f"{_RATE} * 12", high=f"{_RATE} * 18 + {score}",
        score=f"{score}", unusual="0", kind="''", reason="''", model="'slot'", position="at * 1000",
    )  # fmt: skip
    alert = "toString(cityHash64(at, store))"
    for kind, later in (("firing", 0), ("resolved", 900)):
        yield _insert(
            "transitions", _points(NOW - DAYS * DAY, NOW, 43_200), transition_id=f"concat({alert}, '{kind}')",
            episode_id=alert, fingerprint="toString(store)", site=_STORE, rule="'capacity'", subject="''",
            severity="'warning'", kind=f"'{kind}'", happened=f"at + {later}", onset="at", value="0.9",
            summary="'Occupancy at 90 % of the capacity'", reason="'threshold'", backfilled="0",
            decided_ms=f"(at + {later}) * 1000",
        )  # fmt: skip
    registry = f"SELECT number AS store, 0 AS door FROM numbers({STORES})"
    yield _insert(
        "sites", registry, site=_STORE, site_name=f"upper({_STORE})", zone="'Europe/Berlin'", country="'DE'",
        capacity_operational="80 + store", capacity_legal="100 + store", loaded_ms="1",
    )  # fmt: skip
    doors = f"SELECT intDiv(number, 2) AS store, number % 2 AS door FROM numbers({STORES * 2})"
    yield _insert(
        "lines", doors, site=_STORE, device=_DEVICE, device_name=_DEVICE, line="1", line_name="concat('Door ', toString(door))",
        role="'entrance'", loaded_ms="1",
    )  # fmt: skip
    seen = f"{NOW} * 1000 - 21000"
    yield _insert(
        "devices", doors, site=_STORE, device=_DEVICE, device_name=_DEVICE, dialect="'vs13x'", firmware="'1.2.1'",
        expected_interval_s="60", last_arrival_ms=seen, last_skew_s="2", clock="'device'", silent="0", messages="525600",
        revision="525600", known_at_ms=seen,
    )  # fmt: skip
    yield _insert(
        "progress", "SELECT number AS p FROM numbers(8)", topic="'raw'", partition_no="p", position="9000000", log_ms=seen
    )


def fill(store: Store) -> None:
    """A year of rows; about a quarter of an hour on two cores."""
    edges = [NOW // 60 * 60 - DAYS * DAY * (12 - month) // 12 // 60 * 60 for month in range(13)]
    for first, last in pairwise(edges):
        for statement in _minutes(first, last + 60 if last == edges[-1] else last):
            store.command(statement)
    for statement in (*_buckets(), *_others()):
        store.command(statement)
    _quiet(store)


def _quiet(store: Store) -> None:
    """Wait until nothing is merged any more."""
    calm = 0
    while calm < 5:
        calm = 0 if store.query("SELECT count() AS n FROM system.merges")[0]["n"] else calm + 1
        time.sleep(1)


class Asked(NamedTuple):
    """A query with its parameters and the mark in milliseconds."""

    what: str
    sql: str
    parameters: dict[str, Any]
    mark_ms: int


def asked() -> Iterator[Asked]:
    """Every panel at the range that its board opens with, those over time also at 62 days, and the series of the API."""
    for board in boards().values():
        for panel in board.panels:
            yield _panel(board, panel, board.hours or 24)
            if board.scope == "store" and "$__timeFilter" in panel.sql:
                yield _panel(board, panel, 62 * 24)
    for series in SERIES:
        for step, days in series.most_days.items():
            yield _series(series, step, 1)
            if days > 1:
                yield _series(series, step, days)
    yield Asked("API: quality, a day", QUALITY_SQL, {"from": NOW - DAY, "to": NOW}, 100)


def _panel(board: Board, panel: Panel, hours: int) -> Asked:
    one = board.scope == "store"
    parameters: dict[str, Any] = {"from": NOW - hours * 3600, "to": NOW}
    if one:
        parameters["stores"] = [ONE]
    span = f"{hours} h" if hours < 48 else f"{hours // 24} days"
    who = "" if board.scope == "installation" else ", one store" if one else ", all stores"
    sql = as_parameters(panel.sql, step_of(panel, hours * 3600), one)
    return Asked(f"{board.title}: {panel.id}{who}, {span}", sql, parameters, 100)


def _series(series: Series, step: str, days: int) -> Asked:
    parameters = {"store": ONE, "from": NOW - days * DAY, "to": NOW, "limit": MOST_ROWS + 1}
    if step:
        parameters["step"] = step
    what = f"API: {series.path}{f' {step}' if step else ''}, one store, {days} day{'s' if days > 1 else ''}"
    return Asked(what, series.sql(), parameters, 50 if days == 1 and not step else 100)


def _moved(parameters: dict[str, Any], turn: int) -> dict[str, Any]:
    return parameters | {name: parameters[name] - 60 * turn for name in ("from", "to")}


def measure(reader: Store, question: Asked) -> Row:
    """Milliseconds of a query, from the call to rows in Python."""
    took, rows = [], 0
    for turn in range(RUNS + 1):
        started = time.perf_counter()
        rows = len(reader.query(question.sql, _moved(question.parameters, turn)))
        took.append((time.perf_counter() - started) * 1000)
    return {"bench": "queries", "what": question.what, "p50_ms": round(median(took[1:]), 1),
            "p95_ms": round(quantiles(took[1:], n=20)[18], 1), "first_ms": round(took[0], 1), "rows": rows,
            "mark_ms": question.mark_ms}  # fmt: skip


def disk(store: Store) -> list[Row]:
    """Bytes a row on disk, per table."""
    found = store.query(
        "SELECT table, sum(rows) AS n, sum(bytes_on_disk) AS bytes FROM system.parts "
        "WHERE active AND database = currentDatabase() GROUP BY table HAVING n > 100000 ORDER BY table"
    )
    return [
        {"bench": "queries", "what": f"disk of {r['table']}", "rows": r["n"], "mib": r["bytes"] >> 20,
         "bytes_a_row": round(r["bytes"] / r["n"], 1)}
        for r in found
    ]  # fmt: skip


def run() -> list[Row]:
    """Rows of the table of `make bench`; about twenty minutes."""
    with StoreProcess(keep_days="all=0") as process:  # the year is a fixed one and may lie long back
        migrate(process.settings)
        store = open_store(process.settings)
        reader = open_store(process.settings, "reader")
        try:
            fill(store)
            return [*disk(store), *(measure(reader, question) for question in asked())]
        finally:
            reader.close()
            store.close()
