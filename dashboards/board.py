"""The shapes of a board, declared once: what it asks, which SQL answers, how the answer is read.

A board is one file in `dashboards/boards/` with a constant `BOARD`; `boards()` finds them. The same declaration becomes
Grafana JSON (`dashboards/grafana.py`) and the live board (`dashboards/web/`). SQL reads the views of `schemas/rows.py` only and
uses Grafana's ClickHouse macros (`dashboards/macros.py` lists those that we use).

`$__toTime` is the moment that the board shows ("now" on a live board): no query asks the clock of the server.
"""

import importlib
import pkgutil
from dataclasses import dataclass
from typing import Literal

Unit = Literal["people", "share", "count", "seconds", "time", "text", "score", "ratio"]
"""people: whole people; share: 0 to 1, shown as per cent; seconds: a duration; time: a moment; score: 0 to 1."""

Role = Literal["time", "value", "low", "high", "limit", "compare", "label", "note", "key"]
"""What a column is for. `low` and `high` are the ends of the interval around the value before them, `limit` the site's own
capacity, `compare` the same figure a week earlier or as it was expected, `note` more words, `key` is carried along but not
shown."""

Kind = Literal["stores", "stat", "timeseries", "bars", "table", "plan", "sankey", "grid"]
"""stores: one card per row (a table in Grafana); bars: a time series of sums drawn as bars; plan: zones on the floor plan,
column `place` says "device:zone" (a table in Grafana); sankey: columns `id`, `source`, `target`, `mainstat` (a node graph in
Grafana); grid: cells of a heat map by `x` and `y` (a table in Grafana)."""

Scope = Literal["chain", "store", "installation"]


@dataclass(frozen=True)
class Field:
    """One column of the answer. `warn` and `alarm`: marks from which the value asks for action (on shares of the site's own
    capacity, or on counts of things that are wrong); `states`: words for text values, each with a level."""

    name: str
    title: str
    unit: Unit
    role: Role = "value"
    warn: float | None = None
    alarm: float | None = None
    states: tuple[tuple[str, str, Literal["ok", "warn", "alarm", "off"]], ...] = ()
    description: str = ""


@dataclass(frozen=True)
class Panel:
    """One question, its SQL and its size on a grid of 24 columns (rows of 30 pixels). `step_s`: finest step of a series.

    `live`: the answer is a subset of the row that the live stream carries for each store, so the live board needs no query.
    `link`: path on the live board behind each row, with `{column}` put in. `empty`: what it says when there is nothing.
    """

    id: str
    title: str
    description: str
    kind: Kind
    sql: str
    fields: tuple[Field, ...]
    width: int
    height: int
    step_s: int = 60
    live: bool = False
    empty: str = "No data in this range."

    def field(self, name: str) -> Field:
        return next(f for f in self.fields if f.name == name)


@dataclass(frozen=True)
class Board:
    """A board. `scope`: `store` boards have the variable `store` (one value), `chain` boards have it with several or all,
    `installation` boards have none and show things that belong to no single store. `hours`: what it shows when nobody chooses
    a range, None for today so far in the store's time. `order`: place in the menu."""

    uid: str
    title: str
    description: str
    scope: Scope
    panels: tuple[Panel, ...]
    refresh_s: int = 10
    hours: int | None = None
    order: int = 100

    def panel(self, panel_id: str) -> Panel:
        """Raises KeyError."""
        for panel in self.panels:
            if panel.id == panel_id:
                return panel
        raise KeyError(panel_id)


STORE_VARIABLE = """SELECT site, site_name
FROM (SELECT site, argMax(site_name, loaded_ms) AS site_name FROM sites GROUP BY site)
ORDER BY site_name"""
"""Values of the variable `store`: value, label."""


def boards() -> dict[str, Board]:
    """All boards by uid, in order of the menu. A new board is one file in `dashboards/boards/`."""
    import dashboards.boards as folder

    found = [importlib.import_module(f"{folder.__name__}.{m.name}").BOARD for m in pkgutil.iter_modules(folder.__path__)]
    return {board.uid: board for board in sorted(found, key=lambda b: (b.order, b.uid))}
