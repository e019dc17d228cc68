"""The live stream: one shared poller per process, however many viewers; it rests while nobody watches.

A viewer gets the whole state once and then what changed. State is kept per store with the number of its last change, so a slow
viewer skips steps instead of queueing them, and one that comes back with `Last-Event-ID` gets what it missed.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson

from dashboards.web.source import Metrics, Row, StoreDown

EVERY_S = 1.0
"""Pause between polls while somebody watches."""

BEAT_S = 10.0
"""A viewer hears something at least this often, so that it can tell silence from a dead connection."""

SHARE = 0.25
"""The poller spends at most this share of the time on queries: a slow store is asked less often."""

LINGER_S = 5.0
"""The poller goes on this long after the last viewer has left: a reload does not start from nothing."""

VOLATILE = frozenset({"age_s"})
"""Columns that change with the clock alone; the viewer computes them from the others."""


class Hub:
    """Polls `read` in a thread while there are viewers and tells them about changes."""

    def __init__(
        self, read: Callable[[], list[Row]], now: Callable[[], float], metrics: Metrics, every_s: float = EVERY_S
    ) -> None:
        self._read, self._now, self._metrics, self._every_s = read, now, metrics, every_s
        self._epoch = secrets.token_hex(4)
        self._rows: dict[str, Row] = {}
        self._changed: dict[str, int] = {}
        self._number = 0
        self._viewers = 0
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._trouble = ""
        self._read_at = 0.0
        self.closed = False

    @property
    def polling(self) -> bool:
        return self._task is not None and not self._task.done()

    @property
    def viewers(self) -> int:
        return self._viewers

    def close(self) -> None:
        """End all streams at once. Safe from a signal handler of the event loop."""
        self.closed = True
        self._tell()

    async def watch(self, last_id: str, sees: Callable[[str], bool]) -> AsyncIterator[bytes]:
        """Server-sent events for one viewer. `last_id`: the last one it has seen, empty for none."""
        self._viewers += 1
        self._metrics.viewers.set(self._viewers)
        try:
            if not self.polling:
                self._task = asyncio.create_task(self._poll())
            seen = self._seen(last_id)
            yield b"retry: 2000\n\n"
            trouble = ""
            while not self.closed:
                news = self._news
                if self._trouble != trouble:
                    trouble = self._trouble
                    yield self._event("trouble" if trouble else "well", {"now": self._now()})
                if self._read_at and self._number > seen:
                    yield self._event("stores", self._since(seen, sees), f"{self._epoch}-{self._number}")
                    seen = self._number
                if news is self._news:
                    heard = await _heard(news, BEAT_S)
                    if not heard:
                        yield self._event("beat", {"now": self._now(), "read": self._read_at})
        finally:
            self._viewers -= 1
            self._metrics.viewers.set(self._viewers)

    def _seen(self, last_id: str) -> int:
        epoch, _, number = last_id.partition("-")
        return int(number) if epoch == self._epoch and number.isdigit() else -1

    def _since(self, seen: int, sees: Callable[[str], bool]) -> Row:
        changed = [row for site, row in self._rows.items() if self._changed[site] > seen and sees(site)]
        gone = sorted(s for s, n in self._changed.items() if n > seen and s not in self._rows and sees(s))
        return {"now": self._now(), "read": self._read_at, "all": seen < 0, "stores": changed, "gone": gone}

    @staticmethod
    def _event(name: str, data: Any, event_id: str = "") -> bytes:
        head = f"id: {event_id}\n" if event_id else ""
        return f"{head}event: {name}\ndata: ".encode() + orjson.dumps(data) + b"\n\n"

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _poll(self) -> None:
        idle = 0.0
        while not self.closed and idle < LINGER_S:
            started = asyncio.get_running_loop().time()
            await self._look()
            took = asyncio.get_running_loop().time() - started
            pause = max(self._every_s - took, took * (1 / SHARE - 1), 0.05)
            idle = 0.0 if self._viewers else idle + took + pause
            await asyncio.sleep(pause)

    async def _look(self) -> None:
        self._metrics.polls.inc()
        try:
            rows = await asyncio.to_thread(self._read)
        except StoreDown as error:
            if not self._trouble:
                self._trouble = str(error) or "no answer"
                self._tell()
            return
        first, recovered = not self._read_at, bool(self._trouble)
        self._trouble, self._read_at = "", self._now()
        if self._take({str(row["site"]): row for row in rows}) or first or recovered:
            self._tell()

    def _take(self, fresh: dict[str, Row]) -> bool:
        """Remember what changed; whether anything did."""
        different = [s for s in fresh.keys() | self._rows.keys() if _steady(fresh.get(s)) != _steady(self._rows.get(s))]
        if different:
            self._number += 1
            self._changed.update(dict.fromkeys(different, self._number))
        self._rows = fresh
        return bool(different)


def _steady(row: Row | None) -> Row | None:
    return None if row is None else {name: value for name, value in row.items() if name not in VOLATILE}


async def _heard(news: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(news.wait(), seconds)
    except TimeoutError:
        return False
    return True
