"""A chDB engine in a process of its own with the seeded chain, behind the callable that boards and API get.

The tables and views are the real ones of `infra/ddl.py`, the engine is that of the store process; only the wire is short-cut.
Times come back as aware datetimes and 64-bit numbers as int, as the store's HTTP client gives them.
"""

import itertools
import json
import multiprocessing
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from infra.ddl import Keep, create_all
from schemas.rows import TABLES
from tests.support.seed import Seed

Row = dict[str, Any]
_NUMBERS = itertools.count()


def _serve(pipe: Any, folder: str) -> None:
    """The child: answers (sql, format, database, parameters) until None comes."""
    from infra.store_engine import Engine, EngineError

    engine = Engine(Path(folder))
    for sql, kind, database, params in iter(pipe.recv, None):
        try:
            pipe.send((True, engine.query(sql, kind, database, None, params)))
        except EngineError as error:
            pipe.send((False, str(error)))
    engine.close()


class BoardEngine:
    """The child process with the engine; thread safe, one query at a time."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="boards")
        self._lock = threading.Lock()
        self._pipe, theirs = multiprocessing.get_context("spawn").Pipe()
        self._child = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, f"{self._folder.name}/store"))
        self._child.start()

    def run(self, sql: str, kind: str, database: str, params: dict[str, str]) -> bytes:
        """The answer in a format. Raises RuntimeError with the engine's words."""
        with self._lock:
            self._pipe.send((sql, kind, database, params))
            if not self._pipe.poll(60):
                raise RuntimeError(f"no answer in a minute to {sql[:200]}")
            good, answer = self._pipe.recv()
        if not good:
            raise RuntimeError(answer)
        return bytes(answer)

    def close(self) -> None:
        self._pipe.send(None)
        self._child.join(20)
        self._folder.cleanup()


def _parameter(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ",".join("'" + v.replace("\\", "\\\\").replace("'", "\\'") + "'" for v in value) + "]"
    return str(value)


def _cell(sql_type: str, value: Any) -> Any:
    if value is None:
        return None
    if "DateTime" in sql_type:
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    return int(value) if isinstance(value, str) and "Int64" in sql_type else value


class BoardStore:
    """A database with all tables. `queries`: what was asked; `broken`: every query fails, for tests of outages."""

    def __init__(self, engine: BoardEngine, seed: Seed | None = None) -> None:
        self._engine = engine
        self.queries: list[str] = []
        self.broken = False
        self._database = f"boards_{next(_NUMBERS)}"
        engine.run(f"CREATE DATABASE {self._database}", "Null", "", {})
        for table in TABLES.values():
            for statement in create_all(table, Keep(None)):
                engine.run(statement, "Null", self._database, {})
        for name, rows in (seed.rows if seed else {}).items():
            self.insert(name, rows)

    def insert(self, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Insert rows in the order of the table's columns."""
        body = "\n".join(json.dumps(row) for row in rows)
        if body:
            statement = f"INSERT INTO {TABLES[table].stored()} FORMAT JSONCompactEachRow\n{body}"
            self._engine.run(statement, "Null", self._database, {})

    def result(self, sql: str, parameters: dict[str, Any] | None = None) -> tuple[list[tuple[str, str]], list[Row]]:
        """Names and types of the columns, and the rows."""
        given = {name: _parameter(value) for name, value in (parameters or {}).items()}
        answer = json.loads(self._engine.run(sql, "JSON", self._database, given))
        types = {column["name"]: column["type"] for column in answer["meta"]}
        return list(types.items()), [{n: _cell(types[n], v) for n, v in row.items()} for row in answer["data"]]

    def query(self, sql: str, parameters: dict[str, Any]) -> list[Row]:
        """What `create_app` calls."""
        self.queries.append(sql)
        if self.broken:
            raise ConnectionError("the store is away")
        return self.result(sql, parameters)[1]
