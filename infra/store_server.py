"""The process that owns chDB and answers the ClickHouse HTTP interface.

Delivery: an insert is answered after its rows are in the table. Parallelism: a thread a connection, at most `QUERIES`
statements at a time. Back pressure: more wait up to `TURN_S`, then get 503. Lost: nothing that was answered with 200.
"""

import fcntl
import json
import re
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from infra import store_http as wire
from infra.errors import Problem
from infra.store_engine import Engine, EngineError
from infra.store_guard import Account, Guard
from infra.store_net import first_line, listen

QUERIES = 8
TURN_S = 10.0
GRACE_S = 10.0  # for requests that run when the store is asked to stop
FORMAT_VERSION = 1
"""Of the folder. Raised when an older program could not read it."""


class Metrics:
    """What the store counts; every label has few values."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.requests = Counter(
            "footstream_store_requests", "Statements by user and outcome", ["user", "outcome"], registry=registry
        )
        self.seconds = Histogram("footstream_store_seconds", "Time in the engine, seconds", ["kind"], registry=registry)
        self.bytes = Counter("footstream_store_inserted_bytes", "Bytes of rows written, as sent", registry=registry)
        self.connections = Gauge("footstream_store_connections", "Open connections", registry=registry)


class Folder:
    """The store's folder, held by one process at a time."""

    def __init__(self, path: Path) -> None:
        """Raises Problem when it is in use, cannot be written, or is of a newer program."""
        self.path = path
        if "?" in str(path.absolute()):
            # The engine takes what follows for options and would write its files next to the folder.
            raise Problem(f"store: the folder {path} has a ? in its name; set FOOTSTREAM_DATA to one without")
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = (path / "lock").open("a")
        except OSError as error:
            raise Problem(
                f"store: cannot write {path}: {error.strerror}; check path and rights, or set FOOTSTREAM_DATA"
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise Problem(f"store: {path} is in use by another store; stop that one, or set another FOOTSTREAM_DATA") from None
        try:
            self._check()
        except BaseException:
            self._lock.close()
            raise

    def _check(self) -> None:
        file = self.path / "format.json"
        try:
            found = int(json.loads(file.read_text())["format"])
        except FileNotFoundError:
            file.write_text(json.dumps({"format": FORMAT_VERSION}) + "\n")
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Problem(f"store: cannot read {file}: {error}; restore it or start with another FOOTSTREAM_DATA") from None
        if found > FORMAT_VERSION:
            raise Problem(
                f"store: {self.path} has format {found}, this program knows {FORMAT_VERSION}; use the newer footstream"
            )

    def close(self) -> None:
        self._lock.close()


class StoreServer:
    """Engine, accounts and HTTP together. `serve()` returns after `stop()`."""

    def __init__(self, folder: Path, host: str, port: int, accounts: list[Account], registry: CollectorRegistry) -> None:
        """Listens already, so that a taken port is known before the engine opens. Raises Problem."""
        self.host, self.metrics, self.started = host, Metrics(registry), time.time()
        self._http = listen(host, port, self)
        self.port: int = self._http.server_address[1]
        try:
            self._folder = Folder(folder)
            try:
                self.engine = Engine(folder / "chdb")
            except EngineError as error:
                raise Problem(
                    f"store: cannot open {folder}: {first_line(error)}; look at the disk, or restore the folder"
                ) from None
        except BaseException:
            self._http.server_close()
            raise
        names = self.engine.query("SELECT name FROM system.table_functions", "TSVRaw").decode().split()
        self.guard = Guard(accounts, self._canonical, set(names))
        self.accounts = {a.user for a in accounts}
        self._turns = threading.BoundedSemaphore(QUERIES)

    def serve(self) -> None:
        """Answer until `stop()`; then finish what runs and close the engine."""
        self._http.serve_forever(poll_interval=5.0)
        self._http.server_close()
        self._http.finish(GRACE_S)
        self.engine.close()
        self._folder.close()

    def stop(self) -> None:
        """Take no more connections and let `serve()` return. From any thread but that of `serve()`."""
        self._http.stopping = True
        threading.Thread(target=self._http.shutdown, daemon=True).start()
        try:  # wakes the accept loop now rather than at its next look around
            socket.create_connection((self.host, self.port), 1.0).close()
        except OSError:
            return

    def health(self) -> dict[str, Any]:
        """What `/health` says."""
        self.engine.query("SELECT 1", "Null")
        return {"ok": True, "role": "store", "engine": self.engine.version, "up_s": round(time.time() - self.started)}

    def _canonical(self, sql: str) -> str:
        escaped = sql.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r").replace("\0", "\\0")
        try:
            text = self.engine.query("SELECT formatQuerySingleLine({q:String})", "TSVRaw", params={"q": escaped})
        except EngineError as error:
            raise EngineError(str(error).partition(": In scope SELECT formatQuery")[0], error.code) from None
        return text.decode("utf-8", "replace")

    def account(self, query: str, headers: Mapping[str, str]) -> Account:
        """Whose request it is. Raises EngineError (516)."""
        return self.guard.account(*_credentials(query, headers))

    def answer(
        self, account: Account, query: str, headers: Mapping[str, str], body: bytes, post: bool
    ) -> tuple[bytes, wire.Request]:
        """The answer of one request. Raises EngineError."""
        outcome = "error"
        try:
            request = wire.parse(query, headers, wire.unpacked(body, headers.get("Content-Encoding", "")))
            if not post:
                request.settings["readonly"] = "1"
            request.settings = self.guard.settings(account, request.settings)
            found = self._run(account, request)
            outcome = "ok"
            return found, request
        finally:
            self.metrics.requests.labels("reader" if account.reader else "writer", outcome).inc()

    def _run(self, account: Account, request: wire.Request) -> bytes:
        if not self._turns.acquire(timeout=TURN_S):
            raise EngineError("Code: 202. DB::Exception: Too many simultaneous queries. (TOO_MANY_SIMULTANEOUS_QUERIES)", 202)
        started = time.perf_counter()
        try:
            if request.insert:
                if account.reader or request.settings.get("readonly"):
                    raise EngineError("Code: 164. DB::Exception: Cannot execute query in readonly mode. (READONLY)", 164)
                self.engine.insert(
                    request.sql, request.insert_settings, request.insert, request.body, request.database, request.settings
                )
                self.metrics.bytes.inc(len(request.body))
                return b""
            if wire.HELLO.fullmatch(request.sql) and request.format == "Native":
                return wire.hello("footstream", self.engine.version)
            if request.sql.strip():
                self.guard.check(account, request.sql)
            return self._read(request)
        finally:
            self.metrics.seconds.labels("insert" if request.insert else "query").observe(time.perf_counter() - started)
            self._turns.release()

    def _read(self, r: wire.Request) -> bytes:
        found = self.engine.query(r.sql, r.format, r.database, r.settings, r.params)
        if found:
            return found
        statement = wire.describe(r)
        if not statement:
            return found
        try:
            columns = json.loads(self.engine.query(statement, "JSONCompact", r.database, r.settings, r.params))["data"]
        except (EngineError, ValueError):
            return found  # a statement that cannot be described: nothing is what the engine answered
        return wire.native_header([(c[0], c[1]) for c in columns])


def _credentials(query: str, headers: Mapping[str, str]) -> tuple[str, str]:
    """User and password from headers, Basic authentication or URL."""
    if "X-ClickHouse-User" in headers:
        return headers["X-ClickHouse-User"], headers.get("X-ClickHouse-Key", "")
    basic = re.fullmatch(r"Basic\s+([A-Za-z0-9+/=]+)\s*", headers.get("Authorization", ""), re.IGNORECASE)
    if basic:
        import base64
        import binascii

        try:
            user, _, password = base64.b64decode(basic.group(1)).decode("utf-8", "replace").partition(":")
        except binascii.Error:
            return "", ""
        return user, password
    given = parse_qs(query)
    return given.get("user", ["default"])[0], given.get("password", [""])[0]
