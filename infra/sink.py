"""The end of a lane: rows to the store, transitions to the log, then the word how far everything is done.

Guarantee: at least once, with row identity making it effectively once: a replay writes the same rows again. Unit of
parallelism: the lane. Back pressure: a store or log that is down is tried again inside the call, and the lane waits. Nothing
is lost: the engine's epoch counts only after `durable` has returned.

One batch of rows is stored by a thread of its own while the lane makes the next; there are never more than these two.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any
from zlib import crc32

import msgspec

from connectors.clickhouse import BadRow, Store
from connectors.log import RAW, TRANSITIONS, Log, NewRecord, Writer
from infra.lane import Lane
from infra.say import say
from infra.slots import Mark, Result
from schemas.alerts import Transition
from schemas.forms import FORMS, PLAIN_WINDOWS
from schemas.rows import TABLES, Progress, Quarantine
from schemas.tables import Table

FIRST = ("observations", PLAIN_WINDOWS.name, "duplicates", "quarantine")
LAST = ("repairs",)
MOST_ROWS = 60_000
INSERTS = 3
"""Tables that are inserted into at the same time, so that the rows of a flush do not wait for one table after the other."""


class Buffer(msgspec.Struct, gc=False):
    """Stored together. `done`: partition -> (end, log time) that hold then; `contiguous`: batches done without a gap."""

    rows: dict[str, list[Any]] = {}
    transitions: list[Transition] = []
    done: dict[int, tuple[int, int]] = {}
    contiguous: int = 0


class StoreSink:
    """Buffers results and writes one insert per table and flush."""

    def __init__(
        self, lane: Lane, store: Store, log: Log, flush_s: float, group: str, counted: Callable[[str, int, list[Any]], None]
    ) -> None:
        self.lane, self.store, self.log, self.flush_s, self.group, self.counted = lane, store, log, flush_s, group, counted
        self.writer: Writer | None = None
        self.storing = ThreadPoolExecutor(1, "store")
        self.inserting = ThreadPoolExecutor(INSERTS, "insert")
        self.stored: Future[None] | None = None
        self.buffer = Buffer()
        self.waiting = 0
        self.parts: dict[int, int] = {}
        self.finished: set[int] = set()
        self.contiguous = 0
        self.flushed_at = time.monotonic()
        self.rows_written = 0
        self.repairs_asked = 0

    def write(self, items: list[Result]) -> None:
        for item in items:
            for table, rows in item.out.rows.items():
                if rows:
                    self.buffer.rows.setdefault(table, []).extend(rows)
                    self.waiting += len(rows)
            self.buffer.transitions += item.out.transitions
            for mark in item.marks:
                self._mark(mark)
        # On the slots' own beat, so that rows do not wait for two clocks; the time is for a lane that never catches its breath.
        late = time.monotonic() - self.flushed_at >= 2 * self.flush_s
        if late or self.waiting >= MOST_ROWS or any(item.flush for item in items):
            self._hand_over()

    def _mark(self, mark: Mark) -> None:
        left = self.parts.get(mark.seq, mark.fan) - 1
        if left:
            self.parts[mark.seq] = left
            return
        self.parts.pop(mark.seq, None)
        self.finished.add(mark.seq)
        done = self.buffer.done
        before = done.get(mark.partition, (0, 0))
        # A log may be out of order (a ledger appended again): the store's time never goes back, or finished days would open.
        newest = self.lane.stored_ms[mark.partition] = max(self.lane.stored_ms.get(mark.partition, 0), mark.log_ms)
        done[mark.partition] = (max(before[0], mark.end), newest)

    def durable(self) -> None:
        """Everything written so far is stored when this returns."""
        self._hand_over()
        self._settle()

    def _hand_over(self) -> None:
        """Let the buffer be stored, once what was handed over before is; raises what failed there."""
        self._settle()
        while self.contiguous + 1 in self.finished:
            self.contiguous += 1
            self.finished.discard(self.contiguous)
        self.buffer.contiguous = self.contiguous
        self.lane.storing = True
        self.stored = self.storing.submit(self._store, self.buffer)
        self.buffer, self.waiting, self.flushed_at = Buffer(), 0, time.monotonic()

    def _settle(self) -> None:
        if self.stored is not None:
            self.stored.result()
            self.stored = None

    def _store(self, buffer: Buffer) -> None:
        """Write everything, in an order in which nothing is announced before what it stands on."""
        rows = buffer.rows
        for names in (FIRST, [t for t in rows if t not in FIRST and t not in LAST], LAST):
            self._insert_all({name: rows[name] for name in names if rows.get(name)})
        if rows.get("repairs"):
            self.repairs_asked += 1
        if buffer.transitions:
            self._say(buffer.transitions)
        if buffer.done:
            positions = sorted(buffer.done.items())
            self.store.insert(Progress, [(RAW, p, end, log_ms) for p, (end, log_ms) in positions])
            self.log.commit_progress(RAW, self.group, {p: end for p, (end, _) in positions})
            self.lane.stored = self.lane.stored | buffer.done
        self.lane.durable = buffer.contiguous
        self.lane.storing = False

    def _insert_all(self, rows: dict[str, list[Any]]) -> None:
        """Store rows of tables and of forms, in any order. When this returns or raises, no insert is under way."""
        started = [self.inserting.submit(self._insert, name, held) for name, held in rows.items()]
        wait(started)
        for held, (table, number, refused) in zip(rows.values(), [insert.result() for insert in started], strict=True):
            self.counted(table.name, number, held)
            self.rows_written += number
            if refused:
                self._keep(table, refused)

    def _insert(self, name: str, rows: list[Any]) -> tuple[type[Table], int, list[BadRow]]:
        """Table, number of rows, and those that were refused."""
        form = FORMS.get(name)
        if form is None:
            return TABLES[name], len(rows), self.store.insert(TABLES[name], rows)
        columns = form.columns(rows)
        return form.table, len(columns[0]), self.store.insert_columns(form.table, columns)

    def _keep(self, table: type[Table], refused: list[BadRow]) -> None:
        """A row that no table takes is a bug of ours: it is kept in `quarantine`, said, and the rest goes on."""
        kept = []
        for number, (row, error) in enumerate(refused):
            say("run", f"a row for {table.name} was refused and stands in quarantine: {error}", "error")
            text = repr(row)
            kept.append(
                Quarantine.row(
                    topic=f"rows:{table.name}",
                    partition_no=0,
                    position=crc32(text.encode()),
                    item=number,
                    arrived=int(time.time()),
                    site="",
                    device="",
                    reason="row_refused",
                    place=table.name,
                    detail=error,
                    partial=1,
                    size=len(text),
                    payload=text[:4096],
                )
            )
        self.counted(Quarantine.name, len(kept), kept)
        self.store.insert(Quarantine, kept)

    def _say(self, transitions: list[Transition]) -> None:
        if self.writer is None:
            self.writer = self.log.writer()  # here: a writer belongs to one thread
        records = [NewRecord(t.site, msgspec.json.encode(t), t.decided_ms) for t in transitions]
        self.writer.append_many(TRANSITIONS, records)
