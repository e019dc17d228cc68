"""Zones and queues in a real store: every row fits its table, and late data are repaired to what the observations give."""

from datetime import date

from connectors.clickhouse import Store
from flows import discovered, ordered
from infra.chain import Chain
from infra.recompute import audit_days, repair, write
from operators.ingest import Arrival
from operators.moment import Context, Output
from schemas.events import Event, LineCount, QueueLength, Report, Stay, ZoneCount
from schemas.forms import whole_rows
from schemas.rows import Progress
from schemas.sites import Device, Registry, Site
from tests.support.seed_zones import CAMERA, FLOWS, LINES, ZONES

T = 1_785_492_000
"""2026-07-31 10:00 UTC."""
DAY = date(2026, 7, 31)
ENTRY = Device(CAMERA, "Camera", lines=LINES, zones=ZONES)
SITE = Site("shop", "Shop", "UTC", devices={CAMERA: ENTRY}, demographics=True)


def minute(number: int, people: int) -> list[Event]:
    start, end = T + 60 * number, T + 60 * number + 60
    return [
        ZoneCount(1, "window", start, end, people, people + 1),
        QueueLength(2, start, end, people, lanes_open=2),
        LineCount(1, "window", start, end, people, 0),
        LineCount(1, "total", end, end, 100 + 3 * number, 0),
        Stay(2, end - 90, end, 90.0),
        Stay(3, end - 60, end, 60.0),
    ]


def test_visits_that_are_over_only_by_the_clock_of_the_lane_are_no_differences_until_they_must_be(store: Store) -> None:
    flows = ("traffic", "paths")
    chain, out = Chain(SITE, ordered(flows), None, Context()), Output({}, [])
    stays: list[Event] = [Stay(zone, T + 60 * zone, T + 60 * zone + 50, 50.0, track=7) for zone in (1, 2, 3)]
    report = Report(CAMERA, "made_up", "a", T + 300, stays)
    chain.handle([Arrival(0, 0, (T + 300) * 1000, report)], ENTRY, b"", 0, 0, out)
    chain.advance(T + 3000, out)  # nothing more came, but the lane's clock went on
    chain.flush(True, out)
    write(store, whole_rows(out.rows))
    registry = Registry({SITE.id: SITE})

    def wrong(now: int) -> set[str]:
        store.insert(Progress, [("raw", 0, now, now * 1000)])
        return {d.table for d in audit_days(store, registry, SITE, DAY, DAY, 0, None) if d.table.startswith("path")}

    (row,) = store.query("SELECT sum(visits) AS n FROM path_visits")
    assert row["n"] == 1, "the lane has written the visit"
    assert wrong(T + 300) == set()
    assert wrong(T + 40 * 3600) == set()
    store.command(
        "INSERT INTO path_visits_revisions SELECT * REPLACE (visits + 1 AS visits, revision + 1 AS revision) FROM path_visits"
    )
    assert wrong(T + 40 * 3600 + 1) == {"path_visits"}


def test_late_reports_of_zones_and_queues_are_repaired_and_audited(store: Store) -> None:
    chain, out = Chain(SITE, ordered([*FLOWS]), None, Context()), Output({}, [])
    # An hour of minutes; minute 20 comes an hour late, minute 30 is corrected an hour late.
    said = [(n, minute(n, n % 5), 0) for n in range(60) if n != 20]
    said += [(80, minute(20, 3), 20), (81, [ZoneCount(1, "window", T + 1800, T + 1860, 9)], 30)]
    for position, (arrives, events, told) in enumerate(said):
        report = Report(CAMERA, "made_up", f"{told or arrives}", T + 60 * arrives + 60, events)
        arrival = (T + 60 * arrives + 62) * 1000
        chain.handle([Arrival(0, position, arrival, report)], ENTRY, b"", position, 0, out)
    chain.advance(T + 2 * 86_400, out)
    chain.flush(True, out)
    write(store, whole_rows(out.rows))
    registry = Registry({SITE.id: SITE})
    tables = {t.name for name in FLOWS if discovered()[name].sections for t in discovered()[name].tables if t.revised}

    def wrong() -> set[str]:
        found = audit_days(store, registry, SITE, DAY, DAY, 0, None)
        return {d.table for d in found} & tables

    assert wrong() >= {"zone_minutes", "zone_buckets", "queue_minutes"}
    assert repair(store, registry, None) == 1
    assert wrong() == set()
    (row,) = store.query("SELECT present, complete FROM zone_minutes WHERE zone = 1 AND minute = fromUnixTimestamp(1785493800)")
    assert row["present"] == 9
    (gap,) = store.query("SELECT reason, lost_in, missing_s FROM line_gaps WHERE start = fromUnixTimestamp(1785493200)")
    assert gap["missing_s"] == 0, "the lost minute came an hour later"
