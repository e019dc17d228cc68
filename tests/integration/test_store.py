"""The client, the views and the process on a real engine over HTTP."""

import random
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.clickhouse import Store, StoreDown
from connectors.store_hosts import StoreError
from infra import ddl
from infra.errors import Problem
from infra.migrate import migrate
from infra.settings import Settings
from infra.stores import open_store, secret_file, writer_password
from schemas.rows import TABLES, LineMinutes, Observations, Progress, SiteMinutes, Sites
from schemas.tables import GENERATION, Table
from tests.support.store import StoreProcess

JUNE = 1_780_272_000  # 2026-06-01 00:00 UTC


def row(table: type[Table], **given: Any) -> tuple[Any, ...]:
    """A row with something in every column that is not given."""
    values: dict[str, Any] = {}
    for name, column in table.columns.items():
        values[name] = "x" if "String" in column.type else JUNE if "DateTime" in column.type else 1
    return table.row(**(values | given))


def site(name: str, **given: Any) -> tuple[Any, ...]:
    return row(Sites, site=name, **given)


def minute(people: int, revision: int, complete: int, known: int, at: int = JUNE) -> tuple[Any, ...]:
    return row(SiteMinutes, site="oslo", minute=at, people_in=people, revision=GENERATION + revision, complete=complete,
               known_at_ms=known)  # fmt: skip


def test_every_type_of_every_table_comes_back_as_it_was_written(store: Store) -> None:
    rng = random.Random(11)
    highest = {"UInt8": 255, "UInt16": 65_535, "UInt32": 2**32 - 1, "UInt64": 2**64 - 1, "Int64": 2**62, "Int32": 2**31 - 1}
    for table in TABLES.values():
        rows = []
        for number in range(300):
            values: dict[str, Any] = {}
            for name, column in table.columns.items():
                kind = column.type.removeprefix("Nullable(").removesuffix(")") if "Nullable" in column.type else column.type
                if "String" in kind:
                    values[name] = rng.choice(["", "é\0'\\\n", "z" * 200]) + str(number)
                elif "DateTime" in kind:
                    values[name] = JUNE + rng.randrange(10**6)
                elif kind == "Float64":
                    values[name] = rng.random()
                else:
                    values[name] = rng.choice([0, highest[kind], rng.randrange(100)])
                if "Nullable" in column.type and rng.random() < 0.3:
                    values[name] = None
            rows.append(table.row(**values))
        assert store.insert(table, rows) == []
        found = store.columns(f"SELECT * FROM {table.stored()}")
        assert list(found) == list(table.columns)
        assert sorted(zip(*found.values(), strict=True), key=repr) == sorted(rows, key=repr), table.name


def test_the_newest_revision_wins_and_completeness_within_it(store: Store) -> None:
    store.insert(SiteMinutes, [minute(7, 2, 0, 2000)])
    store.insert(SiteMinutes, [minute(3, 1, 1, 1000)])
    store.insert(SiteMinutes, [minute(7, 2, 1, 2000)])
    store.insert(SiteMinutes, [minute(7, 2, 0, 2000)])  # a replay
    found = store.columns("SELECT people_in, revision - pow(2, 40) AS revision, complete FROM site_minutes")
    assert found == {"people_in": [7], "revision": [2.0], "complete": [1]}
    for at, known in ((999, []), (1000, [3]), (1999, [3]), (2000, [7])):
        assert store.columns(f"SELECT people_in FROM site_minutes_as_of(at_ms = {at})")["people_in"] == known


def test_a_filter_on_a_figure_applies_to_its_newest_state_only(store: Store) -> None:
    store.insert(SiteMinutes, [minute(3, 1, 1, 1000), minute(7, 2, 1, 2000)])
    assert store.query("SELECT people_in FROM site_minutes WHERE people_in < 5") == []
    assert store.query("SELECT people_in FROM site_minutes WHERE known_at_ms < 1500") == []


def test_a_fact_is_seen_once_and_its_version_decides(store: Store) -> None:
    store.insert(Sites, [site("oslo", site_name="new", loaded_ms=2)])
    store.insert(Sites, [site("oslo", site_name="old", loaded_ms=1)])
    assert store.columns("SELECT site_name FROM sites") == {"site_name": ["new"]}


@pytest.mark.parametrize("name", ["site_minutes", "site_minutes_as_of(at_ms = 1)", "observations"])
def test_views_hand_time_and_key_down_to_the_index(store: Store, name: str) -> None:
    """Three months of which one is asked for: only its rows are read."""
    for month in range(3):
        at = JUNE + month * 31 * 86400
        store.insert(SiteMinutes, [minute(1, 1, 1, 0, at + 60 * i) for i in range(100)])
        store.insert(Observations, [row(Observations, device="d", start=at + i, event_id=i) for i in range(100)])
    time_column = "start" if name == "observations" else "minute"
    key = "device = 'd'" if name == "observations" else "site = 'oslo'"
    where = f"{key} AND {time_column} >= '2026-07-01' AND {time_column} < '2026-07-31'"
    plan = "\n".join(store.columns(f"EXPLAIN indexes = 1 SELECT count() FROM {name} WHERE {where}")["explain"])
    assert "Parts: 1/3" in plan
    used = plan[plan.index("PrimaryKey") :]
    assert ("site" in used or "device" in used) and time_column in used.split("Condition", 1)[1].splitlines()[0]


def test_rows_that_cannot_be_stored_come_back_with_their_reason_and_block_nobody(store: Store) -> None:
    good, low, none = site("a"), site("b", loaded_ms=-1), site(None)  # type: ignore[arg-type]  # what is refused
    bad = store.insert(Sites, [good, low, none, site("c")])
    assert [b.row for b in bad] == [low, none]
    assert bad[0].error.startswith("loaded_ms (UInt64) = -1: ")
    assert bad[1].error.startswith("site (LowCardinality(String)) = None: ")
    assert store.columns("SELECT site FROM sites ORDER BY site") == {"site": ["a", "c"]}


def test_rows_that_the_server_refuses_are_found_and_handed_back(store: Store) -> None:
    store.command("ALTER TABLE sites_rows ADD CONSTRAINT no_b CHECK site != 'b'")
    bad = store.insert(Sites, [site(name) for name in "abcde"])
    assert [b.row[0] for b in bad] == ["b"]
    assert "no_b" in bad[0].error
    assert store.columns("SELECT site FROM sites ORDER BY site") == {"site": ["a", "c", "d", "e"]}


def test_an_insert_that_is_sent_again_with_its_token_counts_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.command(
        "CREATE TABLE plain (site String) ENGINE = MergeTree ORDER BY site SETTINGS non_replicated_deduplication_window = 9"
    )
    settings = {"insert_deduplication_token": "t"}
    for _ in range(3):
        store.command("INSERT INTO plain (site) VALUES ('a')", settings=settings)
    assert store.columns("SELECT count() AS n FROM plain") == {"n": [1]}


def test_columns_of_no_rows_keep_their_names_and_types(store: Store, reader: Store) -> None:
    for opened in (store, reader):
        names, rows = opened.table(
            "SELECT site, minute, people_in AS n FROM site_minutes WHERE site = {s:String}", {"s": "it's"}
        )
        assert (names, rows) == (["site", "minute", "n"], [])
        assert opened.columns("SELECT * FROM sites LIMIT 0").keys() == Sites.columns.keys()


def test_a_wrong_statement_is_the_stores_own_words_in_one_line(store: Store) -> None:
    with pytest.raises(StoreError) as refused:
        store.query("SELECT nothing FROM sites")
    assert refused.value.code == 47
    assert "\n" not in str(refused.value) and "nothing" in str(refused.value)
    with pytest.raises(StoreError, match="footstream migrate"):
        store.query("SELECT 1 FROM not_there")


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO sites_rows (site) VALUES ('x')",
        "DROP TABLE sites_rows",
        "ALTER TABLE sites_rows DELETE WHERE 1",
        "CREATE TABLE t (a UInt8) ENGINE = Memory",
        "SET readonly = 0",
        "SELECT 1 SETTINGS readonly = 0",
        "SELECT 1 SETTINGS max_result_rows = 0, max_execution_time = 0",
        "SELECT 1; DROP TABLE sites_rows",
        "KILL QUERY WHERE 1",
        "SYSTEM SHUTDOWN",
        "SELECT file('{file}')",
        "SELECT `file`('{file}')",
        "SELECT “file”(‘{file}’)",
        "SELECT /* ' */ file($x${file}$x$) -- '",
        "SELECT * FROM file('{file}', 'LineAsString')",
        "DESCRIBE file('{file}')",
        "SELECT 1 INTO OUTFILE '{file}.out'",
        "SELECT * FROM sqlite('{file}.db', 't')",
        "SELECT * FROM url('http://127.0.0.1:9/', 'LineAsString')",
        "SELECT * FROM Python(self)",
        "EXPLAIN SELECT file('{file}')",
    ],
)
def test_the_read_only_user_can_only_read_tables(reader: Store, store: Store, tmp_path: Path, statement: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("do not show\n")
    with pytest.raises(StoreError) as refused:
        reader.command(statement.replace("{file}", str(secret)))
    assert refused.value.code in (164, 62), refused.value
    assert "do not show" not in str(refused.value)
    assert [p.name for p in tmp_path.iterdir()] == ["secret"]
    assert store.query("SELECT count() AS n FROM sites") == [{"n": 0}]


def test_the_caps_of_the_read_only_user_hold() -> None:
    with StoreProcess(reader_max_rows=5000, reader_max_s=1) as process:
        reader = open_store(process.settings, "reader")
        reader.database = "default"
        assert len(reader.query("SELECT number FROM numbers(5000)")) == 5000
        with pytest.raises(StoreError, match=r"max rows: 5\.00 thousand") as refused:
            reader.query("SELECT number FROM numbers(5001)")
        assert refused.value.code == 396
        started = time.monotonic()
        with pytest.raises(Exception, match="Timeout exceeded"):
            reader.query("SELECT count() FROM numbers(1000000000000) WHERE cityHash64(number) % 7 = 0")
        assert time.monotonic() - started < 10
        with pytest.raises(StoreError):
            reader.command("SELECT number FROM numbers(6000)", settings={"max_result_rows": 10000})
        reader.close()


def test_wrong_credentials_are_refused(store_settings: Settings) -> None:
    stranger = Store(store_settings.store(), "footstream", "wrong-word", store_settings.store_database, patience_s=0)
    assert not stranger.ping()
    with pytest.raises(StoreError, match="Authentication failed") as refused:
        stranger.query("SELECT 1")
    assert refused.value.code == 516
    assert "wrong-word" not in str(refused.value)


def test_the_writers_password_is_made_once_and_is_its_owners(store_settings: Settings) -> None:
    path = secret_file(store_settings)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(writer_password(store_settings, make=True)) >= 24
    assert writer_password(store_settings) == path.read_text().strip()
    assert writer_password(replace(store_settings, store_url="http://elsewhere:8123")) == ""


def test_migrate_again_changes_nothing_and_mends_what_is_missing(store_settings: Settings, store: Store) -> None:
    assert migrate(store_settings) == []
    store.insert(Progress, [("raw", 0, 5, 1)])
    store.command("ALTER TABLE progress_rows DROP COLUMN log_ms")
    store.command("DROP VIEW sites")
    done = migrate(store_settings)
    assert [s for s in done if s.startswith("ALTER")] == [s for s in done if "ADD COLUMN IF NOT EXISTS `log_ms`" in s] != []
    assert store.query("SELECT position, log_ms FROM progress") == [{"position": 5, "log_ms": 0}]
    assert migrate(store_settings) == []


def test_the_plan_is_what_migrate_then_does_and_changes_nothing(store_settings: Settings, store: Store) -> None:
    assert migrate(store_settings, only_plan=True) == []
    store.command("ALTER TABLE progress_rows DROP COLUMN log_ms")
    store.command("DROP VIEW sites")
    plan = migrate(store_settings, only_plan=True)
    assert migrate(store_settings, only_plan=True) == plan != []
    assert migrate(store_settings) == plan
    fresh = replace(store_settings, store_database=f"{store_settings.store_database}_fresh")
    plan = migrate(fresh, only_plan=True)
    assert plan[0] == f"CREATE DATABASE IF NOT EXISTS `{fresh.store_database}`"
    assert store.query("SELECT name FROM system.databases WHERE name = {n:String}", {"n": fresh.store_database}) == []
    assert migrate(fresh) == plan[1:]
    store.command(f"DROP DATABASE {fresh.store_database} SYNC")


_LAYOUT = """SELECT name, replaceAll(create_table_query, currentDatabase(), '') AS made FROM system.tables
WHERE database = currentDatabase() ORDER BY name"""


def test_a_migration_that_ends_between_any_two_statements_is_finished_by_the_next(
    store_settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = store.query(_LAYOUT)
    command = Store.command
    for left in range(5):  # statements that still run: each change is among the first ones
        store.command("ALTER TABLE observations_rows DROP COLUMN skew_s, DROP COLUMN present")
        store.command("ALTER TABLE observations_rows MODIFY TTL start + toIntervalDay(9000)")
        store.command("DROP VIEW observations")
        store.command("ALTER TABLE schema_version DELETE WHERE 1 SETTINGS mutations_sync = 2")
        ran: list[str] = []

        def cut(self: Store, sql: str, *rest: Any, ran: list[str] = ran, left: int = left, **named: Any) -> Any:
            if len(ran) == left:
                raise KeyboardInterrupt
            ran.append(sql)
            return command(self, sql, *rest, **named)

        monkeypatch.setattr(Store, "command", cut)
        with pytest.raises(KeyboardInterrupt):
            migrate(store_settings)
        monkeypatch.setattr(Store, "command", command)
        assert migrate(store_settings) != []
        assert store.query(_LAYOUT) == wanted
        assert migrate(store_settings) == []


def test_another_retention_is_taken_over(store_settings: Settings, store: Store) -> None:
    ttl = "SELECT engine_full AS e FROM system.tables WHERE database = currentDatabase() AND name = 'line_minutes_revisions'"
    assert "TTL" not in store.query(ttl)[0]["e"]
    migrate(replace(store_settings, keep_days="line_minutes=40"))
    assert "TTL minute + toIntervalDay(40)" in store.query(ttl)[0]["e"]


def test_a_store_of_a_newer_program_is_refused_in_one_line(store_settings: Settings, store: Store) -> None:
    store.command(f"INSERT INTO {ddl.VERSIONS} VALUES ({ddl.SCHEMA + 1}, '9', 'x', 1)")
    with pytest.raises(Problem, match=rf"has layout {ddl.SCHEMA + 1}, this program knows {ddl.SCHEMA}; install the newer"):
        migrate(store_settings)


def test_every_table_view_and_column_is_explained_in_the_store(store: Store) -> None:
    tables = store.columns("SELECT name FROM system.tables WHERE database = currentDatabase() AND comment = ''")
    assert tables["name"] == []
    plain = ", ".join(f"'{n}'" for n in (*TABLES, *(t.stored() for t in TABLES.values())))
    silent = store.query(
        f"SELECT table, name FROM system.columns WHERE database = currentDatabase() AND comment = '' AND table IN ({plain})"
    )
    assert silent == []


@pytest.fixture(scope="module")
def mortal() -> Iterator[StoreProcess]:
    """A store that the tests of this module may end."""
    with StoreProcess() as process:
        migrate(process.settings)
        yield process


@pytest.fixture
def own(mortal: StoreProcess) -> StoreProcess:
    """The same, running."""
    if mortal.process is None or mortal.process.poll() is not None:
        mortal.start()
    return mortal


def test_kill_9_during_inserts_loses_and_doubles_nothing(own: StoreProcess) -> None:
    own_store = open_store(own.settings, patience_s=30)
    own_store.command("CREATE TABLE plain_rows AS line_minutes_revisions ENGINE = MergeTree ORDER BY device "
                      "SETTINGS non_replicated_deduplication_window = 1000")  # fmt: skip
    plain = type("Plain", (LineMinutes,), {"name": "plain", "revised": False, **LineMinutes.columns})
    TABLES.pop("plain")
    written, stop = [0], threading.Event()

    def write() -> None:
        while not stop.is_set():
            batch = [row(LineMinutes, device=f"d{written[0] + i}", revision=written[0] + i) for i in range(50)]
            assert own_store.insert(plain, batch) == []
            written[0] += 50

    writer = threading.Thread(target=write)
    writer.start()
    rng = random.Random(5)
    try:
        for _ in range(2):
            goal = written[0] + rng.randrange(500, 2000)
            while written[0] < goal:
                time.sleep(0.005)
            own.kill9()
            own.start()
    finally:
        stop.set()
        writer.join(60)
    found = own_store.query("SELECT count() AS n, uniqExact(device) AS devices FROM plain_rows")[0]
    assert found == {"n": written[0], "devices": written[0]}
    own_store.close()


def test_a_store_that_is_away_is_named_in_one_line_after_the_patience(own: StoreProcess) -> None:
    opened = open_store(own.settings, patience_s=0.3)
    assert opened.ping()
    assert own.stop() == 0
    assert not opened.ping()
    with pytest.raises(StoreDown, match=r"does not answer for 0\.3 s: .*; start it or correct FOOTSTREAM_STORE"):
        opened.insert(Sites, [site("a")])
    own.start()
    assert opened.insert(Sites, [site("a")]) == []
    opened.close()


def test_sigterm_finishes_what_runs(own: StoreProcess) -> None:
    opened = open_store(own.settings, patience_s=0)
    answers: list[Any] = []
    slow = threading.Thread(
        target=lambda: answers.append(opened.query("SELECT sum(sleepEachRow(0.5)) + 7 AS n FROM numbers(3)"))
    )
    slow.start()
    running = "SELECT count() AS n FROM system.processes WHERE query LIKE '%sleepEach%'"
    watcher = open_store(own.settings)
    while watcher.query(running)[0]["n"] < 2:  # itself and the slow one
        time.sleep(0.01)
    assert own.stop() == 0
    slow.join(10)
    assert answers == [[{"n": 7}]]


@pytest.mark.parametrize("case", ["port", "folder", "format", "address", "rows", "name"])
def test_what_prevents_the_start_is_one_line(store_process: StoreProcess, tmp_path: Path, case: str) -> None:
    words = {
        "port": "set FOOTSTREAM_STORE_PORT",
        "folder": "is in use by another store",
        "format": "has format 99, this program knows 1",
        "address": "is not loopback; set FOOTSTREAM_READER_PASSWORD",
        "rows": "FOOTSTREAM_READER_MAX_ROWS",
        "name": "has a ? in its name",
    }
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "format.json").write_text('{"format": 99}\n' if case == "format" else '{"format": 1}\n')
    settings: dict[str, dict[str, Any]] = {"address": {"store_host": "0.0.0.0"}, "rows": {"reader_max_rows": 9}}
    data = {"folder": store_process.data, "name": tmp_path / "what?"}.get(case, tmp_path)
    port = store_process.settings.store_port if case == "port" else 0
    other = StoreProcess(data, port, **settings.get(case, {}))
    code, said = other.refused()
    assert code == 1
    assert said.startswith("footstream: store: ") and said.count("\n") == 1
    assert words[case] in said
