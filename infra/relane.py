"""Changes how lanes share the log: their number, the number of partitions, or where they go on after a gap.

Lanes are asked to read what there is and to stop; then the layout is changed, and with it every state that was made for the
old one: each lane builds its own anew when it starts, from the observations. Nobody has to move state between machines.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

from connectors.clickhouse import Store
from connectors.log import RAW, Log
from infra.errors import Problem
from infra.lanes import Board, Seat

LOOK_S = 1.0
AGAIN_S = 60.0
"""So often the request is renewed while lanes are still on their way."""


class Part(NamedTuple):
    """One partition: first kept position, end, and up to where its records are stored."""

    partition: int
    first: int
    end: int
    stored: int

    @property
    def unread(self) -> int:
        return max(0, self.end - max(self.first, self.stored))

    @property
    def lost(self) -> int:
        """Records that went before a lane read them."""
        return max(0, self.first - self.stored) if self.stored else 0


def stored_of(board: Board, store: Store) -> dict[int, tuple[int, int]]:
    """Up to where the flows of a board have stored everything; without a word of theirs what any flow has."""
    known: dict[int, tuple[int, int]] = {}
    for seat in board.seats():
        for p, at in seat.positions.items():
            known[p] = max(known.get(p, at), at)
    if not known:  # an older release kept one position for all flows
        rows = store.query(
            "SELECT partition_no, position, log_ms FROM progress AS t WHERE t.topic = {topic:String}", {"topic": RAW}
        )
        known = {r["partition_no"]: (r["position"], r["log_ms"]) for r in rows}
    return known


def parts(log: Log, board: Board, store: Store) -> list[Part]:
    """Every partition of the log."""
    known = stored_of(board, store)
    return [Part(p, first, end, known.get(p, (0, 0))[0]) for p, (first, end) in sorted(log.bounds(RAW).items())]


def change(
    log: Log,
    store: Store,
    board: Board,
    to: int | None,
    partitions: int | None,
    skip_lost: bool,
    say: Callable[[str], None],
    patience_s: float = 900.0,
) -> Seat:
    """Drain, change the layout; the new one. Raises Problem when that is not possible now; nothing was changed then."""
    old, there = board.layout(), log.partitions(RAW)
    if there is None:
        raise Problem("lanes: there is no log yet; start the bridge or a lane first, that makes it")
    before = old.partitions if old is not None else there
    after = partitions if partitions is not None else max(before, there)
    if after < there:
        raise Problem(f"lanes: the log has {there} partitions; their number can only grow, say at least --partitions {there}")
    of = to if to is not None else old.of if old is not None else 1
    if not 1 <= of <= after:
        raise Problem(f"lanes: {of} lanes on {after} partitions; choose 1 to {after} lanes, or add --partitions")
    try:
        _drain(log, store, board, say, patience_s)
        state = parts(log, board, store)
        if after > before:
            _check_read(state, there > before, before, say)
        if any(p.lost for p in state) and not skip_lost:
            raise Problem(
                f"lanes: {sum(p.lost for p in state)} records went from the log before a lane read them; --skip-lost goes on "
                f"without them"
            )
        if after > there:
            log.grow_topic(RAW, after)
        known = stored_of(board, store)
        for part in state:
            if part.lost:
                say(f"partition {part.partition}: going on at {part.first}, {part.lost} records are lost")
                known[part.partition] = part.first, known[part.partition][1]
        if known:
            board.sit("known", "stopped", 0, of, after, known, 0)
        begins = dict(old.positions) if old is not None else {}
        if after > before:  # records before these stand where the old number of partitions put them
            begins = {p.partition: (p.stored if there > before else p.end, 0) for p in state if p.partition < before}
        board.set_layout(of, after, begins)
    finally:
        board.ask("none")
    made = board.layout()
    assert made is not None
    return made


def _check_read(state: list[Part], grown: bool, before: int, say: Callable[[str], None]) -> None:
    """New partitions need a log that is read to its end: a store's records must not stand in two partitions unread."""
    unread = sum(p.unread for p in state)
    if unread and not grown:
        raise Problem(
            f"lanes: {unread} records are not read yet; stop the bridges, start the lanes as they were, and say this again "
            f"when `footstream lanes` shows none"
        )
    if unread:
        say(
            f"the log was given partitions while {unread} records were not read; when the lanes have read them, "
            f"`footstream repair --day` of today mends sums of stores whose records stand in two partitions"
        )


def _drain(log: Log, store: Store, board: Board, say: Callable[[str], None], patience_s: float) -> None:
    """Ask the lanes to stop at the log's end, and wait until they have."""
    end, asked, told = time.monotonic() + patience_s, 0.0, ""
    while True:
        alive = [s for s in board.seats() if s.alive]
        if not alive:
            return
        if time.monotonic() > end:
            raise Problem(
                f"lanes: {', '.join(f'{s.lane}/{s.of} ({s.place})' for s in alive)} did not stop within {patience_s:.0f} s; "
                f"stop them, then say this again"
            )
        if time.monotonic() - asked > AGAIN_S or not asked:
            board.ask("drain")
            asked = time.monotonic()
        unread = sum(p.unread for p in parts(log, board, store))
        line = f"{len(alive)} lanes run, {unread} records to read"
        if line != told:
            say(line)
        told = line
        time.sleep(LOOK_S)
