"""What the lanes of a deployment know of each other: who runs, how many share the log, and who is asked to stop.

The table `lanes` of the store is what they share; all its times are the store's own clock. A lane says every few seconds that
it lives and up to where its rows are stored. The layout (number of lanes and of partitions) is set by the first lane and
changed by `footstream lanes` only, so a lane with another n, a lane started twice and a log with another number of partitions
are refused, on whatever machine. Best effort against two lanes that start within one look: the later one gives way.
"""

import json
import os
import socket
from collections.abc import Mapping
from typing import Any

import msgspec

from connectors.clickhouse import Store
from infra.errors import Problem
from schemas.rows import Lanes

BEAT_S = 5.0
"""How often a lane says that it lives."""
STALE_S = 20
"""A lane that has said nothing for so long is dead."""
REQUEST_S = 600
"""A request to stop that is older belongs to a command that died."""
LAYOUT, REQUEST = "layout", "request"

Stored = Mapping[int, tuple[int, int]]
"""By partition: the position before which everything is stored, and the log's time there in epoch ms."""


class Seat(msgspec.Struct, frozen=True):
    """One row of `lanes`; `age_s`: seconds since its last sign of life."""

    holder: str
    state: str
    lane: int
    of: int
    partitions: int
    host: str
    pid: int
    positions: dict[int, tuple[int, int]]
    started_ms: int
    seen_ms: int
    age_s: float

    @property
    def alive(self) -> bool:
        return self.state in ("claiming", "running") and self.age_s < STALE_S

    @property
    def place(self) -> str:
        return f"process {self.pid} on {self.host}"


_READ = """
SELECT holder, state, lane, of, partitions, host, pid, positions, started_ms, seen_ms,
  (toUnixTimestamp64Milli(now64(3)) - toInt64(seen_ms)) / 1000 AS age_s
FROM lanes AS t WHERE t.flows = {flows:String}
"""
_SET = """
INSERT INTO {table} (flows, holder, state, lane, of, partitions, host, pid, positions, started_ms, seen_ms)
SELECT {{flows:String}}, {{holder:String}}, {{state:String}}, {{lane:UInt16}}, {{of:UInt16}}, {{partitions:UInt16}},
  {{host:String}}, {{pid:UInt32}}, {{positions:String}},
  if({{started:UInt64}} = 0, toUnixTimestamp64Milli(now64(3)), {{started:UInt64}}), toUnixTimestamp64Milli(now64(3))
"""


class Board:
    """The rows of one set of flows."""

    def __init__(self, store: Store, flows: str) -> None:
        self.store, self.flows = store, flows

    def seats(self) -> list[Seat]:
        """Lanes, without layout and request, by number."""
        return sorted((s for s in self.all() if s.holder not in (LAYOUT, REQUEST)), key=lambda s: (s.lane, s.started_ms))

    def all(self) -> list[Seat]:
        rows = self.store.query(_READ, {"flows": self.flows})
        return [Seat(**{**r, "positions": _positions(r["positions"])}) for r in rows]

    def layout(self) -> Seat | None:
        """The layout in force; None before the first lane has run."""
        return next((s for s in self.all() if s.holder == LAYOUT), None)

    def set_layout(self, of: int, partitions: int, begins: Stored) -> None:
        """A new layout. `begins`: by partition the position from which records belong to it."""
        self._set(LAYOUT, LAYOUT, 0, of, partitions, begins, 0)

    def ask(self, state: str) -> None:
        """Ask all lanes to `stop`, or to `drain`: to read what there is and stop then; `none` takes it back."""
        self._set(REQUEST, state, 0, 0, 0, {}, 0)

    def sit(self, holder: str, state: str, lane: int, of: int, partitions: int, stored: Stored, started: int) -> None:
        """Say what a lane does. `started` 0: it begins now."""
        self._set(holder, state, lane, of, partitions, stored, started)

    def _set(self, holder: str, state: str, lane: int, of: int, partitions: int, positions: Stored, started: int) -> None:
        values: dict[str, Any] = {
            "flows": self.flows,
            "holder": holder,
            "state": state,
            "lane": lane,
            "of": of,
            "partitions": partitions,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "positions": json.dumps({str(p): list(at) for p, at in sorted(positions.items())}),
            "started": started,
        }
        self.store.command(_SET.format(table=Lanes.stored()), values)


def _positions(text: str) -> dict[int, tuple[int, int]]:
    return {int(p): (int(at[0]), int(at[1])) for p, at in json.loads(text or "{}").items()}


class Claim:
    """One lane's seat at the board. `take` before it reads anything, `beat` every few seconds, `leave` at the end."""

    def __init__(self, board: Board, holder: str, lane: int, of: int, partitions: int) -> None:
        self.board, self.holder, self.lane, self.of, self.partitions = board, holder, lane, of, partitions
        self.started = 0

    @property
    def name(self) -> str:
        return f"lane {self.lane}/{self.of}"

    def take(self, others_here: list[str]) -> Seat:
        """Sit down; the layout in force. Raises Problem when this lane must not run.

        `others_here`: recovery folders of lanes with another n that an earlier release has left on this machine.
        """
        rows = self.board.all()
        layout = next((s for s in rows if s.holder == LAYOUT), None)
        self._check_request(rows)
        if layout is None and others_here:
            raise Problem(
                f"{self.name}: {others_here[0]} was made by another number of lanes; start that number, or stop all lanes and "
                f"say `footstream lanes --to {self.of}`"
            )
        if layout is not None:
            self._check_layout(layout)
        self._check_twice([s for s in rows if s.alive])
        self._say("claiming", {})
        rows = self.board.all()
        mine = next(s for s in rows if s.holder == self.holder)
        self.started = mine.started_ms
        earlier = [s for s in rows if s.alive and (s.started_ms, s.holder) < (mine.started_ms, mine.holder)]
        try:
            self._check_twice(earlier)
            for other in earlier:
                if layout is None and (other.of, other.partitions) != (self.of, self.partitions):
                    raise Problem(
                        f"{self.name}: lane {other.lane}/{other.of} runs ({other.place}); start this one as one of {other.of}"
                    )
            if layout is None:
                self.board.set_layout(self.of, self.partitions, {})
                layout = self.board.layout()
            assert layout is not None
            self._check_layout(layout)
        except Problem:
            self.leave({})
            raise
        self._say("running", mine.positions)
        return layout

    def _check_request(self, rows: list[Seat]) -> None:
        asked = next((s for s in rows if s.holder == REQUEST and s.state != "none" and s.age_s < REQUEST_S), None)
        if asked is not None:
            raise Problem(
                f"{self.name}: the lanes are being changed by {asked.place}; start them when `footstream lanes` is done "
                f"(if it died, say `footstream lanes` again)"
            )

    def _check_layout(self, layout: Seat) -> None:
        if layout.of != self.of:
            raise Problem(
                f"{self.name}: this deployment has {layout.of} lane{'s' * (layout.of != 1)}; start lanes 0/{layout.of} to "
                f"{layout.of - 1}/{layout.of}, or change their number with `footstream lanes --to {self.of}`"
            )
        if layout.partitions != self.partitions:
            raise Problem(
                f"{self.name}: the log has {self.partitions} partitions, the lanes were laid out for {layout.partitions}; stop "
                f"bridges and lanes, then `footstream lanes --partitions {max(self.partitions, layout.partitions)}`"
            )

    def _check_twice(self, seats: list[Seat]) -> None:
        twin = next((s for s in seats if s.lane == self.lane and s.of == self.of and s.holder != self.holder), None)
        if twin is not None:
            raise Problem(
                f"{self.name}: runs already ({twin.place}, heard {twin.age_s:.0f} s ago); stop that one, or wait {STALE_S} s "
                f"when it was killed"
            )

    def beat(self, stored: Stored, caught_up: bool) -> str:
        """Say that the lane lives; why it must stop now, or "". Raises what the store raises."""
        rows = self.board.all()
        twin = next((s for s in rows if s.alive and s.lane == self.lane and s.holder != self.holder), None)
        if twin is not None and twin.state == "running":
            return f"{self.name}: {twin.place} has taken this lane over while nothing was heard of this one"
        layout = next((s for s in rows if s.holder == LAYOUT), None)
        if layout is not None and (layout.of, layout.partitions) != (self.of, self.partitions):
            return f"{self.name}: there are {layout.of} lanes on {layout.partitions} partitions now"
        asked = next((s for s in rows if s.holder == REQUEST and s.age_s < REQUEST_S), None)
        if asked is not None and (asked.state == "stop" or (asked.state == "drain" and caught_up)):
            return f"{self.name}: asked to stop by {asked.place}"
        self._say("running", stored)
        return ""

    def leave(self, stored: Stored) -> None:
        """Say that the lane has ended, and how far it got."""
        self._say("stopped", stored)

    def _say(self, state: str, stored: Stored) -> None:
        if not stored:  # nothing new: what was known stays
            stored = next((s.positions for s in self.board.all() if s.holder == self.holder), {})
        self.board.sit(
            self.holder, state, self.lane, self.of, self.partitions, stored, 0 if state == "claiming" else self.started
        )
