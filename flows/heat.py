"""Heat: how much each zone and each cell of a heat map was used, by hour of the store's clock.

Presence heat (person-seconds), visit heat (stays) and a device's own heat (no unit) stand in columns of their own and are never
mixed. To compare days divide by `open_s`, or by the people in `site_buckets` of the same hour. Later data than the horizon
ask for a repair of their day.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from operators.cells import Written
from operators.heat import HeatKeeper, HeatState, grid, size_of
from operators.ingest import horizon_of
from operators.journeys import MOST_STAY_S
from operators.moment import FOREVER, Context, Flow, Moment, Output, SiteFlow
from operators.place_names import place_name, zone_place
from operators.traffic import GRACE_S, Change
from schemas.events import Plain
from schemas.rows_floor import HeatCells, HeatZones
from schemas.sites import Site
from schemas.tables import GENERATION

SCHEMA = 1
Row = tuple[Any, ...]


class _Saved(msgspec.Struct, array_like=True):
    schema: int
    heat: HeatState


class HeatFlow:
    """Heat of one store."""

    def __init__(self, site: Site, state: bytes | None, context: Context) -> None:
        self.site, self.base = site, context.generation * GENERATION
        horizon = context.horizon if context.horizon is not None else horizon_of(site)
        self.close_after = max([60, *(d.interval_s for d in site.devices.values())]) + GRACE_S
        self.saved = msgspec.msgpack.decode(state, type=_Saved) if state else _Saved(SCHEMA, HeatState())
        self.keeper = HeatKeeper(site, horizon, self.saved.heat)

    def take(self, m: Moment) -> None:
        for a in m.accepted:
            self.keeper.take(a, m.now, m.repairs)

    def take_plains(self, reports: Sequence[Plain], changes: list[Change] | None, now: int) -> None:
        """Crossings of lines say nothing of heat."""

    def advance(self, m: Moment) -> None:
        """Nothing is timed here."""

    def due(self) -> int:
        return FOREVER

    def dirty(self) -> bool:
        return bool(self.saved.heat.pending.unsent)

    def flush(self, now: int, force: bool, out: Output) -> None:
        if self.saved.heat.pending.turn(now, force):
            written = self.keeper.due(now, self.close_after)
            out.rows.setdefault("heat_zones", []).extend([self._zone(w) for w in written])
            out.rows.setdefault("heat_cells", []).extend([row for w in written for row in self._cells(w)])

    def _zone(self, w: Written) -> Row:
        (device, zone), f = w.key, self.keeper.figures(w.start, w.end, w.cell)
        name = place_name(self.site, zone_place(device, int(zone)))
        figures = (f.presence_s, f.source, f.measured_s, f.visits, f.intensity, f.resolution_s, f.open_s)
        return (self.site.id, device, int(zone), w.start, w.end, name, *figures, *self._known(w))

    def _cells(self, w: Written) -> Iterator[Row]:
        cells = grid(w.cell)
        if not cells:
            return
        (device, zone), f = w.key, self.keeper.figures(w.start, w.end, w.cell)
        total, size = sum(cells.values()), size_of(w.cell)
        for (x, y), value in sorted(cells.items()):
            figures = (x, y, *size, value, value / total if total else None, f.resolution_s, f.open_s)
            yield (self.site.id, device, int(zone), w.start, w.end, *figures, *self._known(w))

    def _known(self, w: Written) -> tuple[int, int, int]:
        return (w.complete, self.base + w.cell.n, w.cell.known)

    def state(self) -> bytes:
        return msgspec.msgpack.encode(self.saved)


def _build(site: Site, state: bytes | None, upstream: Mapping[str, SiteFlow], context: Context) -> SiteFlow:
    return HeatFlow(site, state, context)


SAMPLE = [
    (
        "2026-07-31T10:15:02Z",
        b"""{"format": "footstream/v1", "device": "6537F28778010000", "events": [
{"type": "heat", "start": "2026-07-31T10:00:00Z", "end": "2026-07-31T10:15:00Z", "columns": 2, "rows": 2,
 "cells": [[0, 0, 6], [1, 1, 2]]},
{"type": "heat", "zone": 3, "start": "2026-07-31T10:00:00Z", "end": "2026-07-31T10:15:00Z", "value": 41.5},
{"type": "zone_count", "zone": 1, "start": "2026-07-31T10:00:00Z", "end": "2026-07-31T10:15:00Z", "present": 4},
{"type": "stay", "zone": 2, "start": "2026-07-31T09:59:30Z", "end": "2026-07-31T10:02:00Z"}]}""",
    ),
    (
        "2026-07-31T10:20:00Z",
        b"""{"format": "footstream/v1", "device": "6537F28778010000", "events": [
{"type": "heat", "start": "2026-07-31T10:00:00Z", "end": "2026-07-31T10:15:00Z", "columns": 2, "rows": 2,
 "cells": [[0, 0, 9], [1, 1, 2], [1, 0, 1]]}]}""",
    ),
    (
        "2026-07-31T10:30:02Z",
        b"""{"format": "footstream/v1", "device": "6537F28778010000", "events": [
{"type": "heat", "start": "2026-07-31T10:15:00Z", "end": "2026-07-31T10:30:00Z", "columns": 2, "rows": 2, "cells": [[1, 1, 8]]},
{"type": "zone_count", "zone": 1, "start": "2026-07-31T10:15:00Z", "end": "2026-07-31T10:30:00Z", "present": 2, "staff":
1}]}""",
    ),
]


EXPECTED: dict[str, list[dict[str, object]]] = {
    "heat_zones": [
        {"zone": 0, "zone_name": "Whole view", "presence_s": None, "visits": None, "intensity": None, "resolution_s": 900},
        {"zone": 1, "presence_s": 4500.0, "source": "samples", "measured_s": 1800, "visits": None, "revision": 2},
        {"zone": 2, "start": "2026-07-31T09:00:00Z", "presence_s": 30.0, "source": "stays", "visits": 1, "open_s": 3600},
        {"zone": 2, "start": "2026-07-31T10:00:00Z", "presence_s": 120.0, "source": "stays", "visits": 0},
        {"zone": 3, "presence_s": None, "intensity": 41.5, "resolution_s": 900, "complete": 0},
    ],
    "heat_cells": [
        {"x": 0, "y": 0, "grid_columns": 2, "grid_rows": 2, "intensity": 9.0, "share": 0.45, "revision": 3},
        {"x": 1, "y": 0, "intensity": 1.0, "share": 0.05},
        {"x": 1, "y": 1, "intensity": 10.0, "share": 0.5, "start": "2026-07-31T10:00:00Z", "open_s": 3600},
    ],
}

FLOW = Flow(
    name="heat",
    summary="use of zones and heat map cells by hour: presence, visits, and the device's own heat",
    after=("ingest",),
    tables=(HeatZones, HeatCells),
    build=_build,
    sections=("heat", "stay", "zone"),
    around_s=MOST_STAY_S,
)
