"""What the flows of one store hand on to each other, and the contract of a flow.

A moment is one report (or one timer) of one store. The flows of a store see each moment in a fixed order, every flow after
those it builds on; so no result depends on how the log was cut into batches.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from operators.ingest import Accepted, Arrival
from operators.traffic import FOREVER, Change
from schemas.alerts import Transition
from schemas.events import Plain
from schemas.sites import Site
from schemas.tables import Table

Rows = dict[str, list[Any]]
"""Rows by table, tuples in the order of its columns, and short ones by form (`schemas.forms`)."""


class Output(msgspec.Struct, gc=False):
    """What leaves a lane: rows by table, and transitions of alerts for the log."""

    rows: Rows = {}
    transitions: list[Transition] = []


class Moment(msgspec.Struct, gc=False):
    """One report or one timer of one store. `now`: store time, epoch s; `now_ms` the same in ms.

    `changes`: what entrance lines gained (None when nobody asks for it). `repairs`: minutes that came too late. `notes` is
    where a flow leaves what later flows look at, by flow name.
    """

    now: int
    now_ms: int
    arrival: Arrival | None
    out: Output
    accepted: list[Accepted] = []
    changes: list[Change] | None = None
    repairs: set[int] = set()
    notes: dict[str, Any] = {}


class SiteFlow(Protocol):
    """One flow of one store. All times are epoch seconds of store time (the log's time)."""

    def take(self, m: Moment) -> None:
        """Look at a report that was just accepted."""

    def advance(self, m: Moment) -> None:
        """Fire what is due at `m.now`; called at exactly the times that `due` named, in order."""

    def due(self) -> int:
        """Next time at which `advance` is wanted; FOREVER for never."""

    def flush(self, now: int, force: bool, out: Output) -> None:
        """Write what changed since the last flush."""

    def dirty(self) -> bool:
        """Whether `flush` has something to write."""

    def state(self) -> bytes:
        """Everything that must survive, immutable, with a schema number inside."""


class PlainFlow(SiteFlow, Protocol):
    """A flow that is also content with plain reports as they stand, and then needs no `take`. A chain of such flows is fast."""

    def take_plains(self, reports: Sequence[Plain], changes: list[Change] | None, now: int) -> None:
        """Look at plain reports that are new as a whole, in order and in time. `changes` as in `Moment`; `now`: store time
        before the first of them.

        A flow may have `in_runs() -> bool`: whether several may come at once now. Not while one of them may make a timer of the
        flow earlier, or leave a note for another flow; then they come one by one, through `take`.
        """


class Context(msgspec.Struct, frozen=True):
    """What a flow may know of the installation. `generation` as in schemas.rows; `horizon` None: the store's own."""

    alert_horizon_s: int = 600
    generation: int = 0
    horizon: int | None = None


Build = Callable[[Site, bytes | None, Mapping[str, SiteFlow], Context], SiteFlow]


class Flow(msgspec.Struct, frozen=True):
    """A flow as its file in `flows/` declares it, in the constant FLOW.

    `after`: the flows that it builds on. `tables`: what it writes. `build(site, state, upstream, context)` makes it for one
    store from saved state (None: fresh); `upstream` holds the flows named in `after`. `wants_changes`: it reads
    `Moment.changes`, which is left out when nobody asks for it. `sections`: its revised tables follow from the observations of
    these sections alone, so repair, rebuild and audit play them to a fresh one (without `upstream`, with an endless horizon).
    `around_s`: so long before and after a day lies what its figures follow from, too. `settles_s`: so long after its end a row
    may still follow from the time that has passed, and not from observations alone (a visit is over when its track is silent).
    """

    name: str
    summary: str
    after: tuple[str, ...]
    tables: tuple[type[Table], ...]
    build: Build
    wants_changes: bool = False
    sections: tuple[str, ...] = ()
    around_s: int = 0
    settles_s: int = 0


__all__ = ["FOREVER", "Context", "Flow", "Moment", "Output", "PlainFlow", "Rows", "SiteFlow"]
