"""The longer look of `footstream doctor --deep`: what is stored can be read, adds up, and will fit. Changes nothing."""

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from connectors.clickhouse import Store
from connectors.log import RAW
from infra.backup import outbox_of
from infra.doctor import Finding
from infra.errors import problem_of
from infra.lanes import Board
from infra.logs import open_settings_log
from infra.migrate import check_version
from infra.recompute import audit_days, closed_days, generation_of, stored_sites
from infra.recovery import damage
from infra.registry import load_registry
from infra.relane import parts
from infra.settings import Settings
from infra.stores import open_store

CLOCK_S = 5
SAMPLE = 3
"""Stores whose newest closed day is computed again."""
ENOUGH_DAYS = 30


def examine_deep(settings: Settings) -> Iterator[Finding]:
    """Every finding; minutes at most. What cannot be looked at is a finding, too."""
    store = open_store(settings, patience_s=2.0)
    try:
        for look in (_clock, _layout, _lanes, _sample, _growth):
            try:
                yield from look(settings, store)
            except Exception as error:
                problem = problem_of(error)
                if problem is None:
                    raise
                yield Finding(look.__name__.strip("_"), False, str(problem))
    finally:
        store.close()
    yield from _files(settings)


def _clock(settings: Settings, store: Store) -> Iterator[Finding]:
    ahead = time.time() - int(store.command("SELECT toUnixTimestamp64Milli(now64(3))")) / 1000
    good = abs(ahead) < CLOCK_S
    yield Finding(
        "store's clock", good, f"{ahead:+.1f} s here" + ("" if good else ": set the time on both machines, start NTP")
    )


def _layout(settings: Settings, store: Store) -> Iterator[Finding]:
    found = check_version(store)
    yield Finding("tables", bool(found), f"layout {found}" if found else "none yet: `footstream migrate`")


def _lanes(settings: Settings, store: Store) -> Iterator[Finding]:
    log = open_settings_log(settings)
    try:
        count = log.partitions(RAW)
        for row in store.query("SELECT DISTINCT flows FROM lanes AS t ORDER BY flows"):
            board = Board(store, row["flows"])
            layout = board.layout()
            if layout is None or count is None:
                continue
            good = layout.partitions == count
            words = f"{layout.of} lanes on {layout.partitions} partitions"
            yield Finding(
                f"lanes of {row['flows']}",
                good,
                words + ("" if good else f"; the log has {count}: `footstream lanes --partitions`"),
            )
            for seat in board.seats():
                if seat.state == "running" and not seat.alive and seat.of == layout.of:
                    words = f"nothing heard for {seat.age_s:.0f} s ({seat.place}); start it again"
                    yield Finding(f"lane {seat.lane}/{seat.of}", False, words)
            state = parts(log, board, store)
            lost = sum(p.lost for p in state)
            words = f"{sum(p.unread for p in state)} records to read" + (
                f", {lost} went unread: `footstream lanes`" if lost else ""
            )
            yield Finding(f"log of {row['flows']}", not lost, words)
    finally:
        log.close()


def _sample(settings: Settings, store: Store) -> Iterator[Finding]:
    registry = load_registry(settings.sites, settings.default_zone)
    log = open_settings_log(settings)
    partitions = log.partitions(RAW)
    log.close()
    looked = wrong = 0
    for site in map(registry.site, stored_sites(store)):
        days = closed_days(store, site, partitions)
        if days:
            day = days[-1]
            wrong += len(audit_days(store, registry, site, day, day, generation_of(store, site, day), partitions))
            looked += 1
        if looked == SAMPLE:
            break
    words = f"newest closed day of {looked} stores, {wrong} figures differ" + (
        "; `footstream audit` names them" if wrong else ""
    )
    yield Finding("audit", not wrong, words)


def _growth(settings: Settings, store: Store) -> Iterator[Finding]:
    """What a day takes, by what is stored; how long the disk of the embedded store lasts."""
    asked = {"database": store.database}
    sql = "SELECT sum(bytes_on_disk) AS n FROM system.parts WHERE active AND database = {database:String}"
    stored = int(store.query(sql, asked)[0]["n"] or 0)
    days = int(store.query("SELECT uniqExact(toDate(start)) AS n FROM line_buckets AS t WHERE t.step = '1d'")[0]["n"])
    daily = stored / max(1, days)
    words = f"{stored / (1 << 20):.0f} MiB in {days} days, {daily / (1 << 20):.1f} MiB a day"
    if not settings.embedded_store():
        yield Finding("growth", True, words)
        return
    left = shutil.disk_usage(settings.data).free / max(daily, 1.0)
    good = left >= ENOUGH_DAYS or days < 2
    yield Finding(
        "growth", good, f"{words}; room for {left:.0f} days" + ("" if good else ": make room, or FOOTSTREAM_KEEP_DAYS")
    )


def _files(settings: Settings) -> Iterator[Finding]:
    for folder in sorted((settings.data / "lanes").glob("*-of-*")):
        for path in sorted((folder / "state").glob("*.sqlite3")):
            wrong = damage(path)
            words = (
                f"{wrong}; the lane builds it anew when it starts" if wrong else f"{path.stat().st_size >> 10} KiB, readable"
            )
            yield Finding(f"state {folder.name}", not wrong, words)
    files = [outbox_of(settings)]
    if settings.log().startswith("sqlite:"):
        files += sorted(Path(settings.log().removeprefix("sqlite:///")).glob("*.sqlite"))
    for path in files:
        if path.exists():
            wrong = _torn(path)
            yield Finding(f"file {path.name}", not wrong, f"{wrong}; restore it from a copy" if wrong else "sound")


def _torn(path: Path) -> str:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as db:
            (said,) = db.execute("PRAGMA quick_check(1)").fetchone()
            return "" if said == "ok" else str(said)
    except sqlite3.Error as error:
        return str(error)
