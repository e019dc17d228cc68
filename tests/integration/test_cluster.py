"""Tables of a cluster, as far as chDB goes: it has no server for other servers, runs nothing ON CLUSTER, writes to no replica.

So every statement is parsed as it is; then the same statements run on a cluster of one shard, without ON CLUSTER and with plain
engines below the Distributed tables, and the program works on them: rows, retries, views, every query of the boards.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.clickhouse import Store
from infra import ddl
from infra.lanes import Board
from infra.migrate import cluster_of, migrate
from infra.settings import Settings
from infra.stores import open_store
from schemas.rows import TABLES, Observations, SiteMinutes
from schemas.tables import GENERATION
from tests.bench.queries import asked
from tests.integration.test_migrate import JUNE
from tests.support.store import StoreProcess

CONFIG = """
<tcp_port>9</tcp_port>
<remote_servers><chain><shard><replica><host>127.0.0.1</host><port>9</port></replica></shard></chain></remote_servers>
<macros><shard>01</shard><replica>a</replica></macros>
</clickhouse>"""
"""Nobody listens on port 9; it tells the engine which replica is itself."""
_START = f"""
import sys
from infra import store_engine
tokens = "<merge_tree><non_replicated_deduplication_window>1000</non_replicated_deduplication_window>"
store_engine.CONFIG = store_engine.CONFIG.replace("</clickhouse>", {CONFIG!r}).replace("<merge_tree>", tokens)
from infra.cli import main
sys.argv = ["footstream", "store"]
main()
"""
_REPLICATED = re.compile(r"Replicated(\w*MergeTree)\('[^']*', '[^']*'(?:, )?")


def one_server(sql: str) -> str:
    """A statement without what chDB does not run."""
    return _REPLICATED.sub(r"\1(", sql.replace(" ON CLUSTER `chain`", ""))


class ClusterProcess(StoreProcess):
    """A store whose engine knows a cluster: itself."""

    words = ("-c", _START)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreProcess]:
    data: Path = tmp_path_factory.mktemp("cluster")
    with ClusterProcess(data, store_cluster="chain", keep_days="all=0") as process:
        yield process


@pytest.fixture
def cluster(alone: StoreProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """A migrated database on the cluster of one shard."""
    command = Store.command
    monkeypatch.setattr(Store, "command", lambda self, sql, *rest, **named: command(self, one_server(sql), *rest, **named))
    yield alone.settings
    admin = open_store(replace(alone.settings, store_database="default"))
    admin.command(f"DROP DATABASE IF EXISTS {alone.settings.store_database} SYNC")
    admin.close()


def test_every_statement_of_a_cluster_can_be_parsed(alone: StoreProcess) -> None:
    cluster = cluster_of(alone.settings)
    assert cluster is not None
    store = open_store(replace(alone.settings, store_database="default"))
    statements = [ddl.create_database("footstream", cluster), ddl.create_versions(cluster)]
    for name, table in TABLES.items():
        statements += ddl.create_all(table, ddl.keep_of("")[name], cluster)
    for statement in statements:
        assert "ON CLUSTER `chain`" in statement
        assert "CreateQuery" in str(store.command(f"EXPLAIN AST {statement}")), statement
    store.close()


def test_migrate_lays_the_tables_over_the_cluster_and_adds_what_is_missing(cluster: Settings) -> None:
    plan = migrate(cluster, only_plan=True)
    assert plan[0] == "CREATE DATABASE IF NOT EXISTS `footstream` ON CLUSTER `chain`"
    assert migrate(cluster) == plan[1:]
    assert migrate(cluster) == []
    store = open_store(cluster)
    store.command("ALTER TABLE progress_rows_local DROP COLUMN log_ms")
    store.command("ALTER TABLE progress_rows DROP COLUMN log_ms")
    store.command("DROP TABLE sites_rows")
    done = migrate(cluster)
    assert [s.split()[2] for s in done if "ADD COLUMN" in s] == ["`progress_rows_local`", "`progress_rows`"]
    assert any("CREATE TABLE IF NOT EXISTS `sites_rows` ON CLUSTER" in s for s in done)
    assert migrate(cluster) == []
    store.close()


def minute(people: int, revision: int, at: int = JUNE) -> tuple[Any, ...]:
    zeros: dict[str, Any] = {name: None if "Nullable" in c.type else 0 for name, c in SiteMinutes.columns.items()}
    return SiteMinutes.row(**{**zeros, "site": "oslo", "minute": at, "people_in": people, "revision": GENERATION + revision})


def test_rows_go_through_the_distributed_table_once_and_are_read_as_ever(
    cluster: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(cluster)
    store = open_store(cluster)
    monkeypatch.setattr("connectors.clickhouse.secrets.token_hex", lambda n: "same")  # each insert is a retry of the first
    for _ in range(3):
        assert store.insert(SiteMinutes, [minute(3, 1), minute(7, 2)]) == []
    assert store.query("SELECT count() AS n FROM site_minutes_revisions_local") == [{"n": 2}]
    assert store.query("SELECT people_in FROM site_minutes") == [{"people_in": 7}]
    zeros: dict[str, Any] = {
        n: None if "Null" in c.type else "" if "Str" in c.type else 0 for n, c in Observations.columns.items()
    }
    monkeypatch.undo()
    store.insert(Observations, [Observations.row(**{**zeros, "event_id": n, "start": JUNE + n}) for n in range(9)] * 2)
    assert store.query("SELECT count() AS n FROM observations") == [{"n": 9}]
    plan = store.columns("EXPLAIN indexes = 1 SELECT count() FROM site_minutes WHERE site = 'oslo' AND minute < '2026-07-01'")
    assert "PrimaryKey" in "\n".join(plan["explain"])
    board = Board(store, "all")
    board.sit("a", "running", 0, 1, 8, {0: (5, 6)}, 0)
    assert [s.positions for s in board.seats()] == [{0: (5, 6)}]
    store.close()


def test_every_query_of_the_boards_and_of_the_api_runs_on_a_cluster(cluster: Settings) -> None:
    migrate(cluster)
    reader = open_store(cluster, "reader")
    questions = list(asked())
    for question in questions:
        reader.query(question.sql, question.parameters)
    assert len(questions) > 40
    reader.close()
