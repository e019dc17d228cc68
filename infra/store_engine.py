"""The embedded engine: chDB, owned by one process, opened on one folder.

Every query gets a fresh handle, because USE and SET belong to a handle; opening one takes about a millisecond. Inserts share
a few, a sixth cheaper. A handle that stays open keeps the engine alive. What was acknowledged survives kill -9; after a power
cut the last seconds may be missing, and are written again from the log. Linux only, for its files in memory.
"""

import os
import re
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Two threads for merges and one for the rest are enough for one store process, and fewer threads cost less when idle. The mark
# and uncompressed caches are bounded because the defaults (5 GiB) are for a server. Zone: the engine would take the host's.
# Statistics per column would be written with every insert of a few rows: without them an insert of 20 rows into 18 columns
# asks for 6 MB of buffers instead of 10.
CONFIG = """<clickhouse>
  <timezone>UTC</timezone>
  <background_pool_size>2</background_pool_size>
  <background_schedule_pool_size>2</background_schedule_pool_size>
  <background_common_pool_size>1</background_common_pool_size>
  <max_thread_pool_size>256</max_thread_pool_size>
  <mark_cache_size>67108864</mark_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  <merge_tree>
    <auto_statistics_types></auto_statistics_types>
    <min_columns_to_activate_adaptive_write_buffer>1</min_columns_to_activate_adaptive_write_buffer>
  </merge_tree>
</clickhouse>
"""
DEFAULTS = {
    "optimize_on_insert": "0",  # views choose among copies anyway; 1.2 instead of 2.5 us of CPU an observation
    "async_insert": "0",  # an insert is answered after its rows are in the table, and does not wait for others
    "do_not_merge_across_partitions_select_final": "1",  # a key's rows are in one month: its time is part of the key
    "use_query_condition_cache": "0",  # engine 26.9: with it, queries over views came back without rows that are there
    "max_partitions_per_insert_block": "1000",  # a replay of years is cut by months
}
SMALL = 1 << 20
ONE_THREAD = {"max_threads": "1", "max_insert_threads": "1"}
"""For inserts below `SMALL` bytes: more threads take longer to start than the rows take to write."""
TOKEN = "insert_deduplication_token"
KEPT = 8
_CODE = re.compile(r"Code: (\d+)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class EngineError(Exception):
    """The engine refused a statement: its own words, and its code."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


def _error(error: Exception) -> EngineError:
    text = str(error)
    start = text.find("Code: ")
    text = text[start:] if start > 0 else text
    found = _CODE.search(text)
    return EngineError(text.strip(), int(found.group(1)) if found else 1001)


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


class Engine:
    """chDB on a folder. Thread safe: calls run in the caller's thread, outside the interpreter's lock."""

    def __init__(self, folder: Path) -> None:
        """Open or create. Raises EngineError, also when another process has the folder open."""
        os.environ["TZ"] = "UTC"
        time.tzset()
        from chdb import _chdb  # takes most of a second and 200 MB: only the process that owns the store pays for it

        folder.mkdir(parents=True, exist_ok=True)
        config = folder.parent / f"{folder.name}.xml"
        config.write_text(CONFIG)
        opened: Any = _chdb
        self._connect: Any = lambda: opened.connect(f"{folder.absolute()}?config-file={config.absolute()}")
        self._lock = threading.Lock()
        self._idle: dict[Any, list[Any]] = {}
        try:
            self._keeper = self._connect()
        except RuntimeError as error:
            raise _error(error) from error
        self.version = bytes(self._keeper.query("SELECT version()", "TSVRaw").bytes()).decode().strip()

    def query(
        self,
        sql: str,
        kind: str,
        database: str = "",
        settings: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> bytes:
        """The whole answer in a format, unless the statement names another; settings as given. Raises EngineError."""
        handle = self._handle(database, settings)
        try:
            return bytes(handle.query(sql, kind, params=dict(params or {})).bytes())
        except RuntimeError as error:
            raise _error(error) from error
        finally:
            handle.close()

    def insert(
        self, head: str, tail: str, kind: str, body: bytes, database: str = "", settings: Mapping[str, str] | None = None
    ) -> None:
        """Run INSERT INTO table (columns), `head`, SETTINGS or nothing, `tail`, with data in a format. Raises EngineError.

        The data go through a file in memory, read by the engine itself. Of its other ways in, `query` cuts the statement at the
        first zero byte, and `send_insert` (chdb 4.4) answers with the number of rows and no error when writing them failed:
        a violated constraint, too many parts, a full disk (tested).
        """
        given = dict(settings or {})
        token = given.pop(TOKEN, "")
        if token:
            tail = f"{tail}, " if tail else "SETTINGS "
            tail += f"{TOKEN} = {_text(token)}"
        if len(body) < SMALL:
            given = {**ONE_THREAD, **given}
        file = os.memfd_create("insert", os.MFD_CLOEXEC)
        try:
            view = memoryview(body)
            while view:
                view = view[os.write(file, view) :]
            self._run(f"{head} FROM INFILE '/proc/self/fd/{file}' {tail} FORMAT {kind}", database, given)
        finally:
            os.close(file)

    def _run(self, statement: str, database: str, settings: Mapping[str, str]) -> None:
        """An insert, on a handle that is kept for the next: an insert leaves nothing behind in it."""
        key = (database, tuple(sorted(settings.items())))
        with self._lock:
            idle = self._idle.get(key)
            handle = idle.pop() if idle else None
        if handle is None:
            handle = self._handle(database, settings)
        try:
            handle.query(statement, "Null")
        except BaseException as error:
            handle.close()
            if isinstance(error, RuntimeError):
                raise _error(error) from error
            raise
        with self._lock:
            if sum(map(len, self._idle.values())) < KEPT:
                self._idle.setdefault(key, []).append(handle)
                return
        handle.close()

    def _handle(self, database: str, settings: Mapping[str, str] | None) -> Any:
        handle = self._connect()
        try:
            pairs = {**DEFAULTS, **(settings or {})}
            wrong = [name for name in pairs if not _NAME.fullmatch(name)]
            if wrong:
                raise EngineError(f"Code: 115. DB::Exception: Unknown setting {wrong[0]!r}. (UNKNOWN_SETTING)", 115)
            if database and database != "default":
                handle.query(f"USE `{database.replace('`', '')}`", "Null")
            readonly = pairs.pop("readonly", "")
            handle.query("SET " + ", ".join(f"{name} = {_text(value)}" for name, value in pairs.items()), "Null")
            if readonly:
                handle.query(f"SET readonly = {int(readonly)}", "Null")  # last: nothing can be set after it
            return handle
        except RuntimeError as error:
            handle.close()
            raise _error(error) from error
        except BaseException:
            handle.close()
            raise

    def close(self) -> None:
        """Close the engine cleanly; other handles must be closed already."""
        with self._lock:
            idle, self._idle = self._idle, {}
        for handle in (h for handles in idle.values() for h in handles):
            handle.close()
        self._keeper.close()
