"""Repair, rebuild and audit: days of a store computed again from `observations` by the very operators that the lane runs.

`repair` writes a civil day that late data asked for, under the generation it has. `rebuild` raises the generation, after a
change of the registry or of a definition. `audit` writes nothing and names every key that differs.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, timedelta
from itertools import groupby
from typing import Any

import msgspec

from connectors.clickhouse import Store
from connectors.log import RAW, partition_of
from flows import discovered
from flows.occupancy import OccupancyFlow
from flows.traffic import TrafficFlow
from infra.errors import Problem
from infra.history import accepted
from operators.calendar import civil_day, day_bounds, reset_before
from operators.drift import Factors, factors_from
from operators.ingest import Accepted, horizon_of
from operators.moment import Context, Flow, Moment, Output, Rows, SiteFlow
from operators.occupancy import variance_of
from operators.traffic import FOREVER, Change
from schemas.forms import whole_rows
from schemas.rows import TABLES, Repairs
from schemas.sites import Registry, Site
from schemas.tables import GENERATION

_ENDLESS = FOREVER >> 1
MOST_DAYS = 7


def checked() -> tuple[str, ...]:
    """The tables of figures that follow from observations alone."""
    lines = ("line_minutes", "site_minutes", "line_buckets", "site_buckets", "occupancy")
    return (*lines, *(t.name for flow in discovered().values() if flow.sections for t in flow.tables if t.revised))


class Difference(msgspec.Struct):
    """A key whose stored figures are not what the observations give. None: no such row."""

    table: str
    key: dict[str, Any]
    stored: dict[str, Any] | None
    computed: dict[str, Any] | None

    def unequal(self) -> dict[str, Any]:
        """Only the columns that differ, as {column: [stored, computed]}."""
        if self.stored is None or self.computed is None:
            return {"stored": self.stored, "computed": self.computed}
        return {n: [v, self.computed[n]] for n, v in self.stored.items() if n != "complete" and not _same(v, self.computed[n])}


def store_now(store: Store, site: str, partitions: int | None = None) -> int:
    """The store's time of a site: the newest log timestamp of its partition that is stored, epoch s."""
    rows = store.query("SELECT partition_no, log_ms FROM progress WHERE topic = {topic:String}", {"topic": RAW})
    times = {r["partition_no"]: r["log_ms"] // 1000 for r in rows}
    if not times:
        return 0
    own = partition_of(site, partitions) if partitions else None
    return int(times[own] if own in times else max(times.values()))


def compute(
    store: Store, registry: Registry, site: Site, day: date, now: int, generation: int, until: date | None = None
) -> Rows:
    """All figures of the civil days `day` to `until` of a store, as the lane would have written them at `now`."""
    low, high = day_bounds(site.zone, day)[0], day_bounds(site.zone, until or day)[1]
    first = min(low, reset_before(site, low))
    last = reset_before(site, high + 30 * 3600)
    changes: list[Change] = []
    rows = _traffic(site, accepted(store, registry, site.id, first, last), now, generation, changes)
    kept: Rows = {table: within(table, found, low, high) for table, found in rows.items()}
    kept["occupancy"] = _occupancy(store, site, changes, first, last, now, generation)
    for flow in discovered().values():
        if flow.sections:
            around = low - flow.around_s, high + flow.around_s
            found = _played(flow, site, accepted(store, registry, site.id, *around, flow.sections), now, generation)
            kept |= {t.name: within(t.name, found.get(t.name, []), low, high) for t in flow.tables if t.revised}
    return kept


def _played(flow: Flow, site: Site, events: Iterable[Accepted], now: int, generation: int) -> Rows:
    """What a flow writes that saw these events, in order of arrival and record by record, and nothing else."""
    built, out = flow.build(site, None, {}, Context(generation=generation, horizon=_ENDLESS)), Output({}, [])
    at = 0
    for _, together in groupby(events, key=lambda a: (a.from_.partition, a.from_.position)):
        of_record = list(together)
        at = max(at, of_record[0].arrival // 1000)
        _fire(built, at)
        built.take(Moment(at, at * 1000, of_record[0].from_, Output({}, []), of_record))
    _fire(built, now)
    built.flush(now, True, out)
    return whole_rows(out.rows)


def _fire(built: SiteFlow, until: int) -> None:
    """The timers that are due, as they fire in a lane."""
    while (due := built.due()) <= until:
        built.advance(Moment(due, due * 1000, None, Output({}, [])))


def _traffic(site: Site, events: Iterable[Accepted], now: int, generation: int, changes: list[Change]) -> Rows:
    """Figures of all events; what the entrance lines gained goes to `changes`."""
    flow, out = TrafficFlow(site, None, Context(generation=generation, horizon=_ENDLESS)), Output({}, [])
    for a in events:
        flow.traffic.take(a, a.end, changes, set())
    flow.flush(now, True, out)
    return whole_rows(out.rows)


def within(table: str, rows: list[tuple[Any, ...]], low: int, high: int) -> list[tuple[Any, ...]]:
    """Rows of a table of figures whose time lies in [low, high)."""
    at = list(TABLES[table].columns).index(TABLES[table].time)
    return [r for r in rows if low <= r[at] < high]


def _occupancy(
    store: Store, site: Site, changes: list[Change], first: int, last: int, now: int, generation: int
) -> list[tuple[Any, ...]]:
    """Occupancy of every reset-to-reset day in [first, last), with the factors that were frozen then."""
    out, reset = Output({}, []), first
    while reset < last:
        following = reset_before(site, reset + 30 * 3600)
        flow = OccupancyFlow(site, None, Context(generation=generation, horizon=_ENDLESS))
        flow.begin(reset, factors_at(store, site, reset))
        for change in changes:
            if reset <= change.minute < following:
                flow.days[-1].take(change)
        flow.flush(now, True, out)
        reset = following
    return out.rows.get("occupancy", [])


def factors_at(store: Store, site: Site, reset: int) -> Factors:
    """The factors that were frozen at a reset.

    A store that is never known to be empty carries its level over the reset. Before any door has taught something there is no
    row that could say so: the level then is that of the last minute before.
    """
    asked = {"site": site.id, "reset": reset}
    rows = store.query(
        "SELECT * FROM door_factors WHERE site = {site:String} AND reset = fromUnixTimestamp({reset:Int64})", asked
    )
    factors = factors_from(rows)
    if rows or site.hours is not None:
        return factors
    last = store.query(
        "SELECT estimate, high FROM occupancy AS t WHERE t.site = {site:String} AND t.minute < fromUnixTimestamp({reset:Int64})"
        " ORDER BY t.minute DESC LIMIT 1",
        asked,
    )
    if not last:
        return factors
    level = last[0]["estimate"]
    return msgspec.structs.replace(factors, level=level, level_variance=variance_of(level, last[0]["high"], factors.error_rate))


def generation_of(store: Store, site: Site, day: date) -> int:
    """Highest generation of the figures of a civil day."""
    low, high = day_bounds(site.zone, day)
    found = store.query(
        "SELECT max(revision) AS r FROM site_buckets WHERE site = {site:String}"
        " AND start >= fromUnixTimestamp({low:Int64}) AND start < fromUnixTimestamp({high:Int64})",
        {"site": site.id, "low": low, "high": high},
    )
    return int(found[0]["r"] or 0) // GENERATION if found else 0


def write(store: Store, rows: Rows) -> int:
    """Store recomputed figures; the number of rows."""
    for table, found in rows.items():
        refused = store.insert(TABLES[table], found) if found else []
        if refused:
            raise Problem(
                f"repair: {len(refused)} rows of {table} were refused: {refused[0].error}; this is a bug, nothing is lost"
            )
    return sum(len(found) for found in rows.values())


def pending(store: Store) -> list[tuple[str, date, int]]:
    """(store, civil day, mark) that late data asked for and nobody has done yet."""
    rows = store.query(
        "SELECT site, day, maxIf(mark, side = 'asked') AS asked, maxIf(mark, side = 'done') AS done FROM repairs"
        " GROUP BY site, day HAVING asked > done ORDER BY site, day"
    )
    return [(r["site"], date.fromisoformat(r["day"]), r["asked"]) for r in rows]


def repair(
    store: Store, registry: Registry, partitions: int | None, each: Callable[[str, date], None] = lambda site, day: None
) -> int:
    """Do every pending repair; returns how many. Late data that come meanwhile ask again."""
    todo = pending(store)
    marks = {(site_id, day): mark for site_id, day, mark in todo}
    for site_id in sorted({site_id for site_id, _, _ in todo}):
        site = registry.site(site_id)
        for first, last, generation in spans(store, site, [d for s, d, _ in todo if s == site_id]):
            each(site_id, first)
            now = store_now(store, site_id, partitions)
            write(store, compute(store, registry, site, first, now, generation, last))
            done = [(site_id, d.isoformat(), "done", marks[site_id, d]) for d in days_between(first, last)]
            store.insert(Repairs, done)
    return len(todo)


def spans(store: Store, site: Site, days: list[date]) -> Iterator[tuple[date, date, int]]:
    """Runs of consecutive days of one generation, a week at most, as (first, last, generation)."""
    run: list[date] = []
    generation = 0
    for day in sorted(days):
        found = generation_of(store, site, day)
        if run and (day - run[-1] != timedelta(days=1) or found != generation or len(run) == MOST_DAYS):
            yield run[0], run[-1], generation
            run = []
        run.append(day)
        generation = found
    if run:
        yield run[0], run[-1], generation


def days_between(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first += timedelta(days=1)


def stored_days(store: Store, site: Site) -> list[date]:
    """Civil days of a store that have observations."""
    rows = store.query(
        "SELECT DISTINCT toUnixTimestamp(toStartOfHour(start)) AS h FROM observations"
        " WHERE site = {site:String} AND section IN {sections:Array(String)}",
        {"site": site.id, "sections": sorted({"line", *(s for f in discovered().values() for s in f.sections)})},
    )
    return sorted({civil_day(site.zone, r["h"]) for r in rows})


def stored_sites(store: Store) -> list[str]:
    """Stores that have observations."""
    return [r["site"] for r in store.query("SELECT DISTINCT site FROM observations ORDER BY site")]


def closed_days(store: Store, site: Site, partitions: int | None) -> list[date]:
    """Civil days with observations that the lane does not write any more."""
    now = store_now(store, site.id, partitions)
    return [d for d in stored_days(store, site) if day_bounds(site.zone, d)[1] + 2 * horizon_of(site) <= now]


def ask(store: Store, sites: list[str], day: str) -> None:
    """Ask for a repair by hand."""
    rows = store.query("SELECT site, max(mark) AS m FROM repairs WHERE day = {day:String} GROUP BY site", {"day": day})
    marks = {r["site"]: r["m"] for r in rows}
    chosen = sites or stored_sites(store)
    store.insert(Repairs, [(s, day, "asked", marks.get(s, 0) + 1) for s in chosen])


def rebuild(store: Store, registry: Registry, site: Site, day: date, partitions: int | None) -> int:
    """Compute a closed civil day under the next generation; the number of rows. Raises Problem for a day that is still open."""
    now = store_now(store, site.id, partitions)
    if day_bounds(site.zone, day)[1] + 2 * horizon_of(site) > now:
        raise Problem(f"rebuild: {day} of {site.id} is still open in the lane; rebuild it when it is over")
    return write(store, compute(store, registry, site, day, now, generation_of(store, site, day) + 1))


def audit_days(
    store: Store, registry: Registry, site: Site, first: date, last: date, generation: int, partitions: int | None
) -> list[Difference]:
    """Every figure of the civil days `first` to `last` that differs from what the observations give.

    Completeness is not compared: it is time, not knowledge. Nor are rows that still follow from the time (`Flow.settles_s`):
    the lane's clock is ahead of the last record that it has stored.
    """
    now = store_now(store, site.id, partitions)
    computed = compute(store, registry, site, first, now, generation, last)
    low, high = day_bounds(site.zone, first)[0], day_bounds(site.zone, last)[1]
    out: list[Difference] = []
    settled = {
        t.name: now - flow.settles_s for flow in discovered().values() if flow.settles_s for t in flow.tables if t.revised
    }
    for table in checked():
        rows = within(table, computed.get(table, []), low, high)
        found = _compare(table, _stored(store, table, site.id, low, high), rows)
        out += [d for d in found if table not in settled or _ends(d) <= settled[table]]
    return out


def _ends(d: Difference) -> int:
    row = d.stored if d.stored is not None else d.computed
    assert row is not None, "a difference has a row on one side at least"
    return int(row["end"])


def _stored(store: Store, table: str, site: str, low: int, high: int) -> list[dict[str, Any]]:
    shape = TABLES[table]
    names = ", ".join(f"toUnixTimestamp({n}) AS {n}" if c.type.startswith("DateTime") else n for n, c in shape.columns.items())
    return store.query(
        f"SELECT {names} FROM {table} AS t WHERE t.site = {{site:String}}"  # names come from schemas.rows only
        f" AND t.{shape.time} >= fromUnixTimestamp({{low:Int64}}) AND t.{shape.time} < fromUnixTimestamp({{high:Int64}})",
        {"site": site, "low": low, "high": high},
    )


def _compare(table: str, stored: list[dict[str, Any]], rows: list[tuple[Any, ...]]) -> list[Difference]:
    shape = TABLES[table]
    names = list(shape.columns)
    there = {tuple(r[k] for k in shape.key): dict(r) for r in stored}
    made = {tuple(r[names.index(k)] for k in shape.key): dict(zip(names, r, strict=True)) for r in rows}
    out = []
    for key in sorted(there.keys() | made.keys(), key=str):
        a, b = there.get(key), made.get(key)
        if a is None or b is None or any(not _same(a[n], b[n]) for n in names if n != "complete"):
            out.append(Difference(table, dict(zip(shape.key, key, strict=True)), a, b))
    return out


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) <= 1e-9 * max(1.0, abs(a))
    return bool(a == b)


class Balance(msgspec.Struct):
    """Outcomes of the records of one partition up to its stored position."""

    partition: int
    received: int
    stored: int
    duplicates: int
    quarantined: int

    @property
    def even(self) -> bool:
        return self.received == self.stored + self.duplicates + self.quarantined


def balance(store: Store, bounds: Mapping[int, tuple[int, int]]) -> list[Balance]:
    """Received = stored + duplicates + quarantined, per partition, from the log's first kept position to the stored one."""
    progress = {
        r["partition_no"]: r["position"]
        for r in store.query("SELECT partition_no, position FROM progress WHERE topic = {topic:String}", {"topic": RAW})
    }
    out = []
    for partition, (first, _) in sorted(bounds.items()):
        end = progress.get(partition, first)
        where = "topic = {topic:String} AND partition_no = {p:UInt16} AND position >= {a:UInt64} AND position < {b:UInt64}"
        counts = []
        for sql in (
            f"SELECT uniqExact(position) AS n FROM observations WHERE {where}",
            f"SELECT uniqExact(position) AS n FROM duplicates WHERE {where}",
            f"SELECT uniqExact(position) AS n FROM quarantine WHERE partial = 0 AND {where}",
        ):
            counts.append(int(store.query(sql, {"topic": RAW, "p": partition, "a": first, "b": end})[0]["n"]))
        out.append(Balance(partition, max(0, end - first), *counts))
    return out
