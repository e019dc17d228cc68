"""Reading the store for API and boards: one place for failure, encoding and short-lived sharing of answers."""

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from time import perf_counter
from typing import Any

import orjson
from fastapi import Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

Row = dict[str, Any]
Query = Callable[[str, dict[str, Any]], list[Row]]


class StoreDown(Exception):
    """The store did not answer; the reader gets 503 and the last figures stay on the board."""


class Metrics:
    """What this role counts, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "footstream_serve_requests", "Requests by route and status", ["route", "status"], registry=self.registry
        )
        self.queries = Histogram("footstream_serve_query_seconds", "Queries to the store", registry=self.registry)
        self.failures = Counter(
            "footstream_serve_query_failures", "Queries that the store did not answer", registry=self.registry
        )
        self.viewers = Gauge("footstream_serve_viewers", "Open live streams", registry=self.registry)
        self.polls = Counter("footstream_serve_polls", "Polls of the shared poller", registry=self.registry)


class Source:
    """The store behind a callable. At most `most` queries at a time, in threads of their own: viewers cannot flood the store,
    and a client that keeps one connection per thread keeps that many."""

    def __init__(self, query: Query, metrics: Metrics, most: int = 2) -> None:
        self._query, self._metrics = query, metrics
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="store")
        self._recent: OrderedDict[object, tuple[float, Any]] = OrderedDict()
        self._locks: dict[object, threading.Lock] = {}
        self._guard = threading.Lock()

    def rows(self, sql: str, parameters: Mapping[str, Any]) -> list[Row]:
        """Rows of a query with typed parameters, times as epoch seconds. Raises StoreDown."""
        try:
            return self._threads.submit(self._timed, sql, dict(parameters)).result()
        except Exception as error:
            self._metrics.failures.inc()
            words = str(error).splitlines()[0][:300] if str(error) else "no words"
            raise StoreDown(f"{type(error).__name__}: {words}") from error

    def _timed(self, sql: str, parameters: Row) -> list[Row]:
        started = perf_counter()
        found = self._query(sql, parameters)
        self._metrics.queries.observe(perf_counter() - started)
        return found

    def close(self) -> None:
        """Take no more queries."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def shared(self, key: object, seconds: float, make: Callable[[], Any], clock: Callable[[], float] = perf_counter) -> Any:
        """`make()`, or what it gave less than `seconds` ago; two callers never make the same thing at once."""
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            made, value = self._recent.get(key, (-math.inf, None))
            if clock() - made < seconds:
                return value
            value = make()
            with self._guard:
                self._recent[key] = (clock(), value)
                self._recent.move_to_end(key)
                while len(self._recent) > 256:
                    old, _ = self._recent.popitem(last=False)
                    self._locks.pop(old, None)
            return value


def epoch(value: Any) -> Any:
    """A cell for the board: times become epoch seconds, what is not a number becomes null."""
    if isinstance(value, datetime):
        return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def iso(name: str, value: Any) -> Any:
    """A cell for the API: times in ISO 8601, UTC with a Z, civil time without a zone."""
    if isinstance(value, datetime):
        text = (value.astimezone(UTC) if value.tzinfo else value).replace(tzinfo=None).isoformat(timespec="seconds")
        return text if name.startswith("local_") else text + "Z"
    if isinstance(value, date):
        return value.isoformat()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON without going through response models: those describe, the store already typed the values."""
    body = orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, status, {"Cache-Control": "no-store", **(headers or {})}, "application/json")
