"""The embedded store: rows per second by path, point queries while it writes, views against raw tables, cost at rest.

Observations are 100,000 rows an insert, at 31 columns. The view and its raw table hold a year of minutes of one store with
three revisions each. At rest: five tables written every 500 ms with 20 rows each, as a lane does, for ten seconds; then
nothing.
"""

import threading
import time
from collections.abc import Callable
from statistics import median, quantiles
from typing import Any

from clickhouse_connect import create_client

from connectors import _native
from connectors.clickhouse import Store
from infra.migrate import migrate
from infra.stores import open_store
from schemas.rows import LineMinutes, Observations, Occupancy, Progress, SiteMinutes
from schemas.tables import GENERATION, Table
from tests.support.store import StoreProcess

ROWS, RUNS, JUNE = 100_000, 3, 1_780_272_000
YEAR = 365 * 1440
Row = dict[str, Any]


def run() -> list[Row]:
    """Rows of the table of `make bench`; about 50 s."""
    with StoreProcess() as process:
        migrate(process.settings)
        store = open_store(process.settings)
        try:
            return [*_inserts(process, store), _points(store), *_views(store), *_rest(process, store)]
        finally:
            store.close()


def _observations(turn: int) -> list[tuple[Any, ...]]:
    """Reports of 1,000 devices; other ones in each turn."""
    return [
        Observations.row(
            site=f"site-{i % 100}", device=f"6537c{i % 1000:05d}", event_id=turn * ROWS + i, section="line", kind="window",
            part=i % 2 + 1, start=JUNE + i // 1000 * 60, end=JUNE + i // 1000 * 60 + 60, resolution_s=60, people_in=i % 7,
            people_out=i % 5, child_in=None, child_out=None, staff_in=None, staff_out=None, group_in=1, group_out=0,
            present=None, detail="", dialect="vs13x", device_time="2026-06-13T13:42:20+02:00", clock="device", flags="",
            skew_s=2, arrival_ms=JUNE * 1000 + i, topic="raw", partition_no=i % 8, position=turn * ROWS + i, rank=(1 << 63) - i,
        )
        for i in range(ROWS)
    ]  # fmt: skip


def _inserts(process: StoreProcess, store: Store) -> list[Row]:
    names = list(Observations.columns)
    client = create_client(
        host="127.0.0.1", port=process.settings.store_port, username=process.settings.store_user, compress=False,
        password=store._places[0]["password"], database=store.database,
    )  # fmt: skip
    paths: dict[str, Callable[[list[Any], list[Any]], Any]] = {
        "insert_columns": lambda rows, columns: store.insert_columns(Observations, columns),
        "insert of rows": lambda rows, columns: store.insert(Observations, rows),
        "clickhouse-connect, columns": lambda rows, columns: client.insert(
            "observations_rows", columns, names, column_oriented=True
        ),
        "clickhouse-connect, rows": lambda rows, columns: client.insert("observations_rows", rows, names),
        "encoding alone": lambda rows, columns: _native.block({n: c.type for n, c in Observations.columns.items()}, columns),
    }
    seconds: dict[str, list[float]] = {name: [] for name in paths}
    for turn in range(RUNS):
        for number, (name, path) in enumerate(paths.items()):
            rows = _observations(turn * len(paths) + number)
            columns = [list(c) for c in zip(*rows, strict=True)]
            started = time.perf_counter()
            path(rows, columns)
            seconds[name].append(time.perf_counter() - started)
    client.close()
    return [{"bench": "store", "what": name, "rows_per_s": round(ROWS / median(took))} for name, took in seconds.items()]


def _points(store: Store) -> Row:
    """A minute of one line by its key, while another thread writes 1,000 rows at a time."""
    stop, written, took = threading.Event(), [0], []

    def write() -> None:
        while not stop.is_set():
            at = written[0]
            store.insert(
                LineMinutes,
                [_filled(LineMinutes, device=f"d{(at + i) % 100}", minute=JUNE + (at + i) // 100 * 60) for i in range(1000)],
            )
            written[0] += 1000

    writer = threading.Thread(target=write)
    writer.start()
    started = time.perf_counter()
    while time.perf_counter() - started < 6:
        begun = time.perf_counter()
        store.query("SELECT * FROM line_minutes WHERE device = 'd7' AND line = 1 AND minute = '2026-06-01 00:05:00'")
        took.append((time.perf_counter() - begun) * 1000)
    stop.set()
    writer.join()
    cuts = quantiles(took, n=100)
    return {"bench": "store", "what": "point query while writing", "p50_ms": cuts[49], "p99_ms": cuts[98],
            "written_per_s": round(written[0] / 6)}  # fmt: skip


def _views(store: Store) -> list[Row]:
    for revision in range(3):
        for month in range(12):
            first = month * YEAR // 12
            rows = [
                _filled(SiteMinutes, site="oslo", minute=JUNE + m * 60, revision=GENERATION + revision, people_in=m % 9)
                for m in range(first, (month + 1) * YEAR // 12)
            ]
            store.insert(SiteMinutes, rows)
    found = []
    for what, where in (("a year", "1"), ("a day", "minute >= '2026-09-01' AND minute < '2026-09-02'")):
        took = {}
        for name in ("site_minutes", "site_minutes_revisions"):
            took[name] = median(
                _timed(store, f"SELECT sum(people_in) FROM {name} WHERE site = 'oslo' AND {where}") for _ in range(5)
            )
        found.append({"bench": "store", "what": f"sum of {what} of minutes, view against its raw table",
                      "view_ms": took["site_minutes"], "raw_ms": took["site_minutes_revisions"],
                      "ratio": took["site_minutes"] / took["site_minutes_revisions"]})  # fmt: skip
    return found


def _timed(store: Store, sql: str) -> float:
    started = time.perf_counter()
    store.query(sql)
    return (time.perf_counter() - started) * 1000


def _rest(process: StoreProcess, store: Store) -> list[Row]:
    tables: tuple[type[Table], ...] = (Observations, LineMinutes, SiteMinutes, Occupancy, Progress)
    time.sleep(3)  # merges of what was written before are not its cost at rest
    used, started = _cpu(process.pid), time.monotonic()
    for turn in range(20):
        for table in tables:
            store.insert(table, [_filled(table, revision=GENERATION + turn, event_id=turn * 20 + i) for i in range(20)])
        time.sleep(max(0.0, started + (turn + 1) * 0.5 - time.monotonic()))
    writing = (_cpu(process.pid) - used) / (time.monotonic() - started)
    time.sleep(2)
    used, started = _cpu(process.pid), time.monotonic()
    time.sleep(5)
    idle = (_cpu(process.pid) - used) / (time.monotonic() - started)
    return [
        {"bench": "store", "what": "CPU of the store, five tables every 500 ms", "percent_of_a_core": writing * 100},
        {
            "bench": "store",
            "what": "CPU of the store, nothing to do",
            "percent_of_a_core": idle * 100,
            "rss_mib": _rss(process.pid),
        },
    ]


def _filled(table: type[Table], **given: Any) -> tuple[Any, ...]:
    values: dict[str, Any] = {}
    for name, column in table.columns.items():
        values[name] = "x" if "String" in column.type else JUNE if "DateTime" in column.type else 1
    return tuple((values | {k: v for k, v in given.items() if k in values}).values())


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123  # a file of the kernel
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def _rss(pid: int) -> int:
    """Resident memory in MiB."""
    with open(f"/proc/{pid}/status") as file:  # noqa: PTH123  # a file of the kernel
        return next(int(line.split()[1]) // 1024 for line in file if line.startswith("VmRSS"))
