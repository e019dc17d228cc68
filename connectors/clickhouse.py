"""The store over HTTP: a ClickHouse server or cluster, or our own process that owns chDB.

Delivery: `insert` returns once the store has the rows. A retry of the same call carries the same token, whichever host gets
it, so a lost answer doubles nothing; a replay writes rows of the same identity. Parallelism: one client per thread and host,
opened when first used. Back pressure: a store that is away is tried again inside the call for `patience_s`, then StoreDown.
Lost: nothing that was accepted; a row that cannot be stored is handed back with its reason and blocks nobody.

Several hosts (one cluster: they share tables) are tried in their order. All threads stay with the one that answered last;
when it fails, the next one has its turn at once, and there is a pause only after all of them have failed.
"""

import logging
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import clickhouse_connect
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError
from xxhash import xxh3_128_hexdigest

from connectors import _native
from connectors.store_hosts import StoreError, Wire, hosts, place_of, without_password
from schemas.forms import plain_values
from schemas.tables import Table

logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())  # its warnings repeat what we raise

Row = tuple[Any, ...]
_T = TypeVar("_T")

MOST_ROWS = 200_000  # of one insert: about 30 MB of observations
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 3.0
CONNECT_S = 5  # a host that does not even refuse is left after so long
_BUSY = frozenset({159, 202, 209, 210, 225, 236, 241, 242, 243, 252, 254, 279, 285, 286, 289, 305, 319, 425, 999})
"""Codes that pass: timeout, too many queries, network, aborted, memory, read-only for a while, disk full, too many parts; of a
cluster: no Keeper, a replica that starts or lags, too few replicas for a quorum, an insert whose end is not known (319)."""
_STRUCTURE = frozenset({16, 36, 47, 60, 62, 73, 81, 115, 164, 192, 193, 194, 291, 344, 497, 516})
"""Codes that no other row would avoid: columns, tables, syntax, rights, unknown settings."""

INSERT_SETTINGS = {
    "async_insert": 0,  # answered after the rows are in the table; newer servers gather inserts by default
    "distributed_foreground_insert": 1,  # the same through a Distributed table: not before the shards have them
    "max_partitions_per_insert_block": 1000,  # a replay of years is cut by months
}


class StoreDown(Exception):
    """The store cannot be reached, or could not take the rows for as long as we waited. The caller keeps them."""

    footstream_problem = True


class BadRow(NamedTuple):
    """A row that was not stored, and why."""

    row: Row
    error: str


class Store:
    """One database of one store, as one user."""

    def __init__(
        self, url: str, user: str, password: str, database: str, patience_s: float = 20.0, wire: Wire | None = None
    ) -> None:
        """`url`: one or more, separated by commas. `patience_s`: how long a call waits for a store that is away; 0 asks each
        host once. Connects when first used. Raises StoreError for a wrong URL or file."""
        wire = wire or Wire()
        self.database, self.patience_s = database, patience_s
        found = hosts(url)
        self._places = [place_of(place, user, password, wire) for place in found]
        self._names = [without_password(place.geturl()) for place in found]
        self.url = ",".join(self._names)
        self._insert_settings = {**INSERT_SETTINGS, **({"insert_quorum": wire.quorum} if wire.quorum else {})}
        self._mine = threading.local()
        self._clients: list[Any] = []
        self._at = 0
        self._lock = threading.Lock()

    def insert(self, table: type[Table], rows: Sequence[Row]) -> list[BadRow]:
        """Store rows (tuples in the order of the columns); returns those that cannot be. Raises StoreDown, StoreError."""
        return self.insert_columns(table, list(zip(*rows, strict=True))) if rows else []

    def insert_columns(self, table: type[Table], columns: Sequence[Sequence[Any]]) -> list[BadRow]:
        """The same for columns, the fast way: 0.9 million observations/s to encode, 0.4 with `insert`, one core.

        Raises ValueError when the columns are not those of the table or of unequal length.
        """
        if len(columns) != len(table.columns) or len({len(c) for c in columns}) != 1:
            raise ValueError(f"table {table.name}: {len(table.columns)} columns of equal length expected")
        bad: list[BadRow] = []
        if len(columns[0]) <= MOST_ROWS:  # as they are: a slice of a repeated column is a list
            self._insert(table, list(columns), bad)
            return bad
        for start in range(0, len(columns[0]), MOST_ROWS):
            self._insert(table, [c[start : start + MOST_ROWS] for c in columns], bad)
        return bad

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Rows by name, times as aware datetimes (UTC); the store binds `{name:Type}`. Raises StoreDown, StoreError."""
        return self.table(sql, parameters)[1]

    def table(self, sql: str, parameters: Mapping[str, Any] | None = None) -> tuple[list[str], list[dict[str, Any]]]:
        """The same with the names of the columns, which are known even when there are no rows."""
        found = self._try(lambda: self._client().query(sql, parameters=dict(parameters or {})))
        names = list(found.column_names)
        return names, [dict(zip(names, row, strict=True)) for row in found.result_rows]

    def columns(self, sql: str, parameters: Mapping[str, Any] | None = None) -> dict[str, list[Any]]:
        """Columns by name, times as epoch seconds: what is compared with rows. Raises StoreDown, StoreError."""

        def run() -> Any:
            formats = {"DateTime*": "int"}
            return self._client().query(sql, parameters=dict(parameters or {}), query_formats=formats, column_oriented=True)

        found = self._try(run)
        values = found.result_columns or [[] for _ in found.column_names]
        return {name: list(column) for name, column in zip(found.column_names, values, strict=True)}

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None, settings: Mapping[str, Any] | None = None) -> Any:
        """A statement without rows, or with a single value. Raises StoreDown, StoreError."""
        return self._try(lambda: self._client().command(sql, parameters=dict(parameters or {}), settings=dict(settings or {})))

    def native(self, sql: str) -> bytes:
        """The whole answer in ClickHouse's Native format. Raises StoreDown, StoreError."""
        return bytes(self._try(lambda: self._client().raw_query(sql, fmt="Native")))

    def insert_native(self, table: type[Table], names: Sequence[str], body: bytes) -> None:
        """Store what `native` gave. Raises StoreDown, StoreError."""
        token = f"{xxh3_128_hexdigest(body)}-{secrets.token_hex(4)}"
        settings = {"insert_deduplication_token": token}
        self._try(lambda: self._client().raw_insert(table.stored(), list(names), body, settings, "Native"))

    def ping(self) -> bool:
        """Whether a host of the store answers this user now; never waits, never raises."""
        for _ in self._places:
            at = self._at
            try:
                return bool(self._client().command("SELECT 1") == 1)
            except OperationalError:
                self._leave(at)
            except DatabaseError:
                return False
        return False

    def close(self) -> None:
        """Close the connections of all threads."""
        clients, self._clients = self._clients, []
        for client in clients:
            client.close()
        self._mine = threading.local()

    def _client(self) -> Any:
        """This thread's client of the host in turn."""
        at = self._at
        mine: dict[int, Any] = self._mine.__dict__.setdefault("clients", {})
        if at not in mine:
            # No session: nothing is kept in it, and a lost connection would leave it locked.
            mine[at] = clickhouse_connect.create_client(
                **self._places[at],
                database=self.database,
                autogenerate_session_id=False,
                tz_mode="aware",
                connect_timeout=CONNECT_S,
            )
            self._clients.append(mine[at])
        return mine[at]

    def _leave(self, at: int) -> None:
        """Go on with the host after this one, unless another thread has gone on already."""
        with self._lock:
            if self._at == at:
                self._at = (at + 1) % len(self._places)

    def _try(self, call: Callable[[], _T]) -> _T:
        """Call until it succeeds, fails for good, or patience ends. Every host has its turn before there is a pause."""
        end = time.monotonic() + self.patience_s
        for pause in _pauses():
            failed: dict[str, Exception] = {}
            for _ in self._places:
                at = self._at
                try:
                    return call()
                except OperationalError as error:
                    failed[self._names[at]] = error
                except DatabaseError as error:
                    if error.code not in _BUSY:
                        raise self._refused(error, at) from error
                    failed[self._names[at]] = error
                self._leave(at)
            self._wait_or_give_up(pause, end, failed)
        raise AssertionError("pauses never end")

    def _wait_or_give_up(self, pause: float, end: float, failed: Mapping[str, Exception]) -> None:
        if time.monotonic() + pause > end:
            waited = f" for {self.patience_s:g} s" if self.patience_s else ""
            words = dict.fromkeys(_words(error) for error in failed.values())
            raise StoreDown(
                f"store {self.url} does not answer{waited}: {'; '.join(words)}; start it or correct FOOTSTREAM_STORE"
            ) from next(iter(failed.values()), None)
        time.sleep(pause)  # the only waiting of a lane: this is the back-pressure

    def _refused(self, error: Any, at: int) -> StoreError:
        what = {
            516: "; check FOOTSTREAM_STORE_USER and its password",
            60: "; create the tables with `footstream migrate`",
            81: "; create the tables with `footstream migrate`",
            16: "; bring the tables up to date with `footstream migrate`",
        }.get(error.code, "")
        return StoreError(f"store {self._names[at]}: {_line(error)}{what}", error.code)

    def _insert(self, table: type[Table], columns: list[Sequence[Any]], bad: list[BadRow]) -> None:
        types = {name: column.type for name, column in table.columns.items()}
        try:
            body = _native.block(types, columns)
        except (TypeError, ValueError, OverflowError, AttributeError):
            columns = _sift(types, columns, bad)
            if not columns[0]:
                return
            body = _native.block(types, columns)
        try:
            self._send(table, body)
        except StoreError as error:
            if error.code in _STRUCTURE or not isinstance(error.__cause__, DatabaseError):
                raise
            self._halve(table, columns, bad, str(error))

    def _halve(self, table: type[Table], columns: list[Sequence[Any]], bad: list[BadRow], error: str) -> None:
        """The store refused these rows: find those that it means."""
        middle = len(columns[0]) // 2
        if not middle:
            bad.append(BadRow(tuple(c[0] for c in columns), error))
            return
        self._insert(table, [c[:middle] for c in columns], bad)
        self._insert(table, [c[middle:] for c in columns], bad)

    def _send(self, table: type[Table], body: bytes) -> None:
        # Content, so that a token can never stand for other rows; and a number of this call, so that the same rows written
        # again on purpose (after a deletion, or when an older state returns) are not taken for a retry.
        token = f"{xxh3_128_hexdigest(body)}-{secrets.token_hex(4)}"
        settings = {**self._insert_settings, "insert_deduplication_token": token}
        names, packed = list(table.columns), {}

        def send() -> None:
            client = self._client()
            kind = client.write_compression or ""
            if kind not in packed:
                packed[kind] = _PACK[kind](body)
            client.raw_insert(table.stored(), names, packed[kind], settings, "Native", kind or None)

        self._try(send)


def _lz4(body: bytes) -> bytes:
    import lz4.frame  # comes with clickhouse-connect

    return bytes(lz4.frame.compress(body))


def _zstd(body: bytes) -> bytes:
    from backports import zstd  # comes with clickhouse-connect

    return bytes(zstd.compress(body, 1))


_PACK: dict[str, Callable[[bytes], bytes]] = {"": lambda body: body, "lz4": _lz4, "zstd": _zstd}


def _words(error: Exception) -> str:
    """The reason in one line; of a certificate that is not trusted, which setting decides."""
    line = _line(error)
    hint = " (does FOOTSTREAM_STORE_CA name the authority that signed it?)" if "CERTIFICATE_VERIFY_FAILED" in line else ""
    return f"{line}{hint}"


def _pauses() -> Iterator[float]:
    pause = FIRST_PAUSE_S
    while True:
        yield pause
        pause = min(pause * 2, LONGEST_PAUSE_S)


def _sift(types: dict[str, str], columns: list[Sequence[Any]], bad: list[BadRow]) -> list[Sequence[Any]]:
    """The columns without the rows that cannot be written."""
    good: list[Row] = []
    for row in zip(*map(plain_values, columns), strict=True):
        try:
            _native.block(types, [(value,) for value in row])
            good.append(row)
        except (TypeError, ValueError, OverflowError, AttributeError) as error:
            bad.append(BadRow(row, f"{_column_of(types, row)}: {error}"))
    return [list(c) for c in zip(*good, strict=True)] if good else [[] for _ in columns]


def _column_of(types: dict[str, str], row: Row) -> str:
    """The first column whose value cannot be written, with the value."""
    for (name, kind), value in zip(types.items(), row, strict=True):
        try:
            _native.block({name: kind}, [(value,)])
        except (TypeError, ValueError, OverflowError, AttributeError):
            return f"{name} ({kind}) = {value!r:.80}"
    return "row"


def _line(error: object) -> str:
    """The store's own words in one line, without what the client puts around them."""
    text = re.sub(r"\s*\((?:for url|version) [^)]*\)", "", " ".join(str(error).split()))
    text = text.partition("server response: ")[2] or text
    return text if len(text) <= 500 else text[:500] + "…"
