"""The panels of the declared boards, answered as columns for charts."""

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dashboards.board import Board, Panel
from dashboards.macros import as_parameters
from dashboards.web.source import Row, Source, epoch

_STEPS = (60, 300, 900, 1800, 3600, 10800, 21600, 86400)
POINTS = 720
"""A chart of a wall has about that many pixels to give; a day of minutes comes as five-minute means only beyond it."""

MOST_S = 62 * 86400
"""Longest range of a board."""


def step_of(panel: Panel, span_s: int) -> int:
    """Seconds between points: the panel's own step, or coarser so that no series has more than about `POINTS`."""
    return next((s for s in _STEPS if s >= panel.step_s and s * POINTS * 2 >= span_s), _STEPS[-1])


def zone_of(name: str, fallback: str) -> ZoneInfo:
    """The zone of a store; of an unassigned one the fallback."""
    try:
        return ZoneInfo(name or fallback)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def day_of(zone: ZoneInfo, moment: float) -> tuple[int, int]:
    """Epoch seconds of the start and the end of the civil day that holds a moment."""
    day = datetime.fromtimestamp(moment, zone).date()
    start, end = (datetime.combine(d, time(), zone) for d in (day, day + timedelta(days=1)))
    return int(start.astimezone(UTC).timestamp()), int(end.astimezone(UTC).timestamp())


class Panels:
    """Answers of panels. Viewers who ask for the same thing within two seconds share one query."""

    def __init__(self, source: Source, now: Callable[[], float], keep_s: float = 2.0) -> None:
        self._source, self._now, self._keep_s = source, now, keep_s

    def answer(
        self, board: Board, panel: Panel, stores: list[str] | None, zone: ZoneInfo, chosen: tuple[int, int] | None
    ) -> Row:
        """Columns of a panel. `stores`: None for all; `chosen`: a range in epoch seconds, None for the board's own."""
        start, end = chosen or self._own_range(board, panel, zone)
        key = (board.uid, panel.id, tuple(stores or ()), chosen or start)
        found: Row = self._source.shared(key, self._keep_s, lambda: self._columns(panel, stores, start, end))
        return found

    def _own_range(self, board: Board, panel: Panel, zone: ZoneInfo) -> tuple[int, int]:
        now = int(self._now())
        if board.hours is not None:
            return now - board.hours * 3600, now
        start, end = day_of(zone, now)
        return start, end - 1 if panel.kind in ("timeseries", "bars") else now

    def _columns(self, panel: Panel, stores: list[str] | None, start: int, end: int) -> Row:
        step = step_of(panel, end - start)
        parameters: dict[str, Any] = {"from": start, "to": end}
        if stores is not None:
            parameters["stores"] = stores
        rows = self._source.rows(as_parameters(panel.sql, step, stores is not None), parameters)
        data = {f.name: [epoch(row[f.name]) for row in rows] for f in panel.fields}
        return {"from": start, "to": end, "step_s": step, "at": int(self._now()), "columns": data}
