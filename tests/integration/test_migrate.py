"""`migrate` on the tables of every release, in a real engine: forward in one go, twice, and cut after each statement."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.clickhouse import Store
from infra import ddl
from infra.changes import changes
from infra.errors import Problem
from infra.inventory import Inventory
from infra.lanes import Board
from infra.migrate import migrate
from infra.settings import Settings
from infra.stores import open_store
from schemas.rows import TABLES, Lanes, LineMinutes, Observations, SiteMinutes
from schemas.tables import GENERATION
from tests.support.store import StoreProcess

RELEASES = sorted((Path(__file__).parents[1] / "upgrade").glob("schema-*.sql"))
JUNE = 1_780_272_000  # 2026-06-01 00:00 UTC
FEW = {t.name: t for t in (Observations, LineMinutes, SiteMinutes)}
"""An index more; another key; open rows that go early. Each statement of a migration is of one of these kinds."""


@pytest.fixture
def old(store_process: StoreProcess, request: pytest.FixtureRequest) -> Iterator[Settings]:
    """A database as a release left it, with rows of two months in line_minutes."""
    settings = replace(store_process.settings, store_database=f"old_{abs(hash(request.node.name))}", keep_days="open=35")
    admin = open_store(replace(settings, store_database="default"))
    admin.command(f"DROP DATABASE IF EXISTS {settings.store_database} SYNC")
    yield settings
    admin.command(f"DROP DATABASE {settings.store_database} SYNC")
    admin.close()


def lay(settings: Settings, release: Path, only: dict[str, Any] | None = None) -> None:
    """The tables of a release, and in line_minutes two months of a device that changed its store in the second."""
    admin = open_store(replace(settings, store_database="default"))
    admin.command(f"DROP DATABASE IF EXISTS {settings.store_database} SYNC")
    admin.command(f"CREATE DATABASE {settings.store_database}")
    admin.close()
    store = open_store(settings)
    names = {t.stored() for t in (only or TABLES).values()} | set(only or TABLES) | {f"{n}_as_of" for n in only or TABLES}
    for statement in release.read_text().rstrip().removesuffix(";").split(";\n\n"):
        said = re.match(r"CREATE (?:OR REPLACE )?\w+ (?:IF NOT EXISTS )?`(\w+)`", statement)
        if said is None or said[1] in names:
            store.command(statement)
    for site, start in (("oslo", JUNE), ("oslo", JUNE + 31 * 86_400), ("bergen", JUNE + 31 * 86_400 + 60)):
        rows = f"SELECT '{site}', 'd1', 1, {start} + 60 * number, number, {GENERATION} + 1, 1 FROM numbers(50)"
        columns = "site, device, line, minute, people_in, revision, complete"
        store.command(f"INSERT INTO line_minutes_revisions ({columns}) {rows}")
    store.close()


def made(store: Store) -> dict[str, str]:
    """How each table is made; settings in the order of their names."""
    out = {}
    for r in store.query("SELECT name, create_table_query AS made FROM system.tables WHERE database = currentDatabase()"):
        head, _, tail = r["made"].replace(store.database, "DB").partition(" SETTINGS ")
        settings, _, comment = tail.partition(" COMMENT ")
        out[r["name"]] = head + " ".join(sorted(settings.split(", "))) + comment
    return out


def minutes(store: Store) -> list[dict[str, Any]]:
    return store.query("SELECT * FROM line_minutes ORDER BY site, device, line, minute")


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.stem)
def test_the_tables_of_every_release_become_those_of_today_with_all_rows(
    old: Settings, store_settings: Settings, release: Path
) -> None:
    settings = replace(old, keep_days=store_settings.keep_days)
    lay(settings, release)
    assert migrate(settings, only_plan=True) == (plan := migrate(settings, only_plan=True)) != []
    assert migrate(settings) == plan
    assert migrate(settings) == [] == migrate(settings, only_plan=True)
    store, fresh = open_store(settings), open_store(store_settings)
    assert made(store) == made(fresh)
    rows = minutes(store)
    assert [r["site"] for r in rows] == ["bergen"] * 50 + ["oslo"] * 100
    assert sum(r["people_in"] for r in rows) == 3 * sum(range(50))
    store.close()
    fresh.close()


class Cut(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.stem)
def test_a_migration_that_ends_after_any_statement_is_finished_by_the_next(
    old: Settings, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.migrate.TABLES", FEW)
    monkeypatch.setattr("infra.migrate.discovered", lambda: None)
    lay(old, release, FEW)
    store = open_store(old)
    known, cuts, ended = set[str](), 0, False
    command = Store.command

    def run(self: Store, sql: str, *rest: Any, **named: Any) -> Any:
        found = command(self, sql, *rest, **named)
        if sql not in known and not sql.startswith("SELECT"):
            known.add(sql)
            raise Cut
        return found

    while not ended:
        try:
            with monkeypatch.context() as patch:
                patch.setattr(Store, "command", run)
                migrate(old)
            ended = True
        except Cut:
            cuts += 1
            assert store.query("SELECT uniqExact(site, minute) AS n FROM line_minutes_revisions") == [{"n": 150}]
    assert cuts == len(known) > 15
    kinds = ("EXCHANGE", "INSERT INTO `", "MATERIALIZE", "MODIFY TTL")
    assert [sum(word in s for s in known) for word in kinds] == [1, 2, 1, 1]
    assert migrate(old) == [] and sum(r["people_in"] for r in minutes(store)) == 3 * sum(range(50))
    for table in FEW.values():
        assert changes(table, ddl.keep_of(old.keep_days)[table.name], Inventory(store, None), None) == ddl.views(table)
    store.close()


def test_tables_are_not_built_anew_under_a_running_lane(old: Settings) -> None:
    lay(old, RELEASES[0])
    store = open_store(old)
    for statement in ddl.create_all(Lanes, ddl.Keep(None)):
        store.command(statement)
    board = Board(store, "all")
    board.sit("a", "running", 0, 1, 8, {}, 0)
    with pytest.raises(Problem, match=r"lane 0/1 writes to them .*stop the lanes, migrate, start them"):
        migrate(old)
    assert "line_minutes_revisions_new" not in made(store)
    board.sit("a", "stopped", 0, 1, 8, {}, 0)
    assert any("EXCHANGE" in s for s in migrate(old))
    store.close()


def test_open_rows_go_after_their_days_and_closed_ones_stay(store_settings: Settings, store: Store) -> None:
    migrate(replace(store_settings, keep_days="open=3"))
    store.command("ALTER TABLE site_minutes_revisions REMOVE TTL")  # as it was when these rows were written
    old_row = "SELECT 'oslo', now() - 86400 * number, 1, number % 2 FROM numbers(10)"
    store.command(f"INSERT INTO site_minutes_revisions (site, minute, revision, complete) {old_row}")
    migrate(replace(store_settings, keep_days="all=0"))
    migrate(replace(store_settings, keep_days="open=3"))
    store.command("ALTER TABLE site_minutes_revisions MODIFY SETTING merge_with_ttl_timeout = 0")
    store.command("OPTIMIZE TABLE site_minutes_revisions FINAL SETTINGS optimize_skip_merged_partitions = 0")
    found = store.query("SELECT complete, count() AS n FROM site_minutes GROUP BY complete ORDER BY complete")
    assert found == [{"complete": 0, "n": 2}, {"complete": 1, "n": 5}]
