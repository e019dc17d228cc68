"""Where a lane begins: from its own state, from the log's beginning, or from what the store knows."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from connectors.clickhouse import Store
from connectors.log import RAW, Log
from infra.errors import Problem
from infra.lanes import Board, Seat
from infra.rebuild_state import Rebuilt, Where, progress_line, rebuild_state
from infra.recovery import Recovery, versions
from infra.relane import stored_of
from operators.moment import Context, Flow
from schemas.sites import Registry


class Begin:
    """What a lane begins with. `source`: positions and times where no saved ones are."""

    def __init__(self, recovery: Recovery, stores: dict[str, list[str]]) -> None:
        self.recovery, self._stores = recovery, stores
        self.source: dict[str, dict[int, int]] = {"positions": {}, "times": {}}
        self.rebuilt: dict[str, dict[str, tuple[int, bytes]]] = {}

    def slot(self, key: str, saved: Any) -> Any:
        """A slot's state: the saved one, with what was rebuilt in its place."""
        found = self.rebuilt.pop(key, None)
        return saved if found is None else {**(saved or {}), **found}

    def settled(self) -> None:
        """A snapshot was taken since: what was rebuilt is in it, and stores stand there with these sensors."""
        if self._stores is not None:
            self.recovery.keep_stores(self._stores)


def begin_lane(
    recovery: Recovery,
    board: Board,
    layout: Seat,
    log: Log,
    store: Store,
    registry: Registry,
    flows: Sequence[Flow],
    context: Context,
    mine: frozenset[int],
) -> Begin:
    """Look at the state that is there and fill what is missing; says in one line what it does. Raises Problem, StoreDown."""
    begin = Begin(recovery, sensors(registry))
    made = json.loads(json.dumps({**versions(flows), "layout": layout.seen_ms}))
    lost = recovery.lost(made)
    begins = {p: position for p, (position, _) in layout.positions.items()}
    if not lost:
        moved = recovery.gained(begin._stores)
        if moved:
            positions, times = recovery.positions()
            saved = {p: (at, times.get(p, 0) * 1000) for p, at in positions.items()}
            _say(f"state: {len(moved)} stores were given sensors, rebuilding theirs from the observations in the store")
            where = Where(layout.partitions, mine, saved, begins)
            _take(begin, rebuild_state(store, registry, flows, context, where, moved))
        return begin
    known = {p: at for p, at in stored_of(board, store).items() if p in mine}
    bounds = {p: at for p, at in log.bounds(RAW).items() if p in mine}
    behind = [p for p, (_, end) in bounds.items() if known.get(p, (0, 0))[0] > end]
    if behind:
        raise Problem(
            f"lane {recovery.number}/{recovery.of}: {known[behind[0]][0]} records of partition {behind[0]} were stored, the "
            f"log has {bounds[behind[0]][1]}: it is another log; name the right one in FOOTSTREAM_LOG, or another database in "
            f"FOOTSTREAM_STORE_DATABASE"
        )
    recovery.begin(made, fresh=True)
    gone = [p for p, (first, _) in bounds.items() if known.get(p, (0, 0))[0] < first]
    say = f"state: {lost}; "
    if not known:
        if lost != "there is none":
            _say(say + "nothing was stored yet, reading the log from its beginning")
    elif not any(begins.values()) and all(first == 0 for first, _ in bounds.values()):
        _say(say + f"reading the log from its beginning, {sum(end for _, end in bounds.values())} records")
    elif any(p in known for p in gone):
        raise Problem(
            f"lane {recovery.number}/{recovery.of}: {say}stored up to {known[gone[0]][0]} of partition {gone[0]}, the log "
            f"begins at {bounds[gone[0]][0]}: records between went unread; `footstream lanes --skip-lost` goes on without them"
        )
    else:
        _say(say + "rebuilding it from the observations in the store")
        where = Where(layout.partitions, mine, known, begins)
        made_state = rebuild_state(store, registry, flows, context, where, each=progress_line)
        _take(begin, made_state)
        begin.source = {
            "positions": {p: at for p, (at, _) in known.items()},
            "times": {p: ms // 1000 for p, (_, ms) in known.items()},
        }
    return begin


def _take(begin: Begin, made: Rebuilt) -> None:
    begin.rebuilt = made.slots
    _say(f"state of {made.sites} stores rebuilt from {made.records} records, {made.rows} open rows written again")


def sensors(registry: Registry) -> dict[str, list[str]]:
    """Ids of the sensors of each store."""
    return {s.id: sorted({d.id for d in s.devices.values()}) for s in registry.sites.values()}


def _say(line: str) -> None:
    print(f"run: {line}", file=sys.stderr, flush=True)
