"""The read API, version 1. Every answer is JSON; an error is {"error": words} with a status that fits.

Ranges are [from, to) and capped; a series that is cut says where to go on. A token that is limited to stores sees no others:
they answer 404, as stores do that do not exist.
"""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.security import HTTPBearer
from pydantic import BaseModel, Field

from dashboards.board import Board, boards
from dashboards.macros import as_parameters
from dashboards.sql import DEVICES, EPISODES, OFF, open_alerts
from dashboards.sql import lines as all_lines
from dashboards.web.auth import Guard
from dashboards.web.figures import DAY, MOST_ROWS, PROGRESS_SQL, QUALITY_SQL, SERIES, Series, moment, series_model, served
from dashboards.web.live import Hub
from dashboards.web.panels import MOST_S, Panels, zone_of
from dashboards.web.source import Row, Source, epoch, json_response
from dashboards.web.tokens import Token

MOST_VIEWERS = 500
From = Annotated[str | None, Query(alias="from", description="Epoch seconds or ISO 8601; a day before `to` when missing")]
To = Annotated[str | None, Query(alias="to", description="Epoch seconds or ISO 8601; now when missing")]
Limit = Annotated[int, Query(ge=1, le=MOST_ROWS, description="Rows at most")]
Step = Annotated[str, Query(description="15m, 1h or 1d")]
Store = Annotated[str, Path(description="Store id")]
Only = Annotated[str | None, Query(description="Store id; all stores when missing")]


class Refusal(BaseModel):
    """Answer to a request that cannot be served."""

    error: Annotated[str, Field(description="What is wrong, in words")]


class Api:
    """What the routes share: the store, the clock, who may ask, the boards."""

    def __init__(
        self,
        source: Source,
        guard: Guard,
        now: Callable[[], float],
        default_zone: str,
        is_open: Callable[[str, float], bool] | None,
        plan: Callable[[str], Row | None] | None = None,
    ) -> None:
        self.source, self.guard, self.now, self.default_zone, self.is_open = source, guard, now, default_zone, is_open
        self.plan = plan
        self.boards = boards()
        self.panels = Panels(source, now)
        chain = next(p for b in self.boards.values() if b.scope == "chain" for p in b.panels if p.kind == "stores")
        self._stores_sql = as_parameters(chain.sql, 60, stores=False)

    def stores(self) -> list[Row]:
        """One row per store as it is now; shared for a moment by everybody who asks. Raises StoreDown."""
        found: list[Row] = self.source.shared("stores", 0.5, self.read_stores)
        return found

    def read_stores(self) -> list[Row]:
        now = int(self.now())
        rows = self.source.rows(self._stores_sql, {"from": now - 86400, "to": now})
        return [self._store(row, now) for row in rows]

    def _store(self, row: Row, now: int) -> Row:
        shown = {name: epoch(value) for name, value in row.items()}
        shown["zone"] = str(zone_of(str(row["zone"]), self.default_zone))
        shown["open"] = self.is_open(str(row["site"]), now) if self.is_open else None
        return shown

    def store(self, token: Token, site: str) -> Row:
        """A store that the token may see. Raises 404."""
        for row in self.stores():
            if row["site"] == site and (token.sites is None or site in token.sites):
                return row
        raise HTTPException(404, "No such store.")

    def range(self, start: str | None, end: str | None, default_s: int, most_s: int) -> tuple[int, int]:
        """[from, to) in epoch seconds. Raises 400 with what is wrong."""
        try:
            last = moment(end) if end else int(self.now()) + 1
            first = moment(start) if start else max(0, last - default_s)
        except (ValueError, OverflowError) as error:
            raise HTTPException(400, f"from and to are epoch seconds or ISO 8601: {error}") from None
        if first >= last:
            raise HTTPException(400, "from must be before to")
        if last - first > most_s:
            raise HTTPException(400, f"the range is longer than {most_s // DAY} days: ask in pieces, or a coarser step")
        return first, last


def _public(row: Row, only: Token) -> bool:
    return only.sites is None or row["site"] in only.sites


def _iso_store(row: Row) -> Row:
    from datetime import UTC, datetime

    times = {n: datetime.fromtimestamp(row[n], UTC) for n in ("minute", "last_seen") if row[n] is not None}
    return served({**row, **times})


def router(api: Api, hub: Hub) -> APIRouter:
    """All routes under /api/v1."""
    # The scheme is for the OpenAPI document: the guard does the checking. "4XX" stands in place of FastAPI's own 422.
    bearer: Any = Depends(HTTPBearer(auto_error=False, description="Needed when the server runs with tokens"))
    routes = APIRouter(
        prefix="/api/v1",
        dependencies=[bearer],
        responses={"4XX": {"model": Refusal, "description": "Refused, with the reason"}},
    )
    reader = Depends(api.guard.reader)

    @routes.get("/stores", tags=["stores"], summary="All stores now")
    def stores(token: Token = reader) -> Response:
        return json_response({"stores": [_iso_store(row) for row in api.stores() if _public(row, token)]})

    @routes.get("/live", tags=["live"], summary="Server-sent events: changes of the stores within a second")
    async def live(request: Request, token: Token = reader) -> Response:
        if hub.viewers >= MOST_VIEWERS:
            raise HTTPException(503, "Too many live viewers; read /api/v1/stores instead.")
        stream = hub.watch(request.headers.get("last-event-id", ""), lambda site: token.sites is None or site in token.sites)
        return StreamingResponse(
            stream, media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )

    @routes.get("/stores/{store:path}/plan", tags=["stores"], summary="Floor plan of a store, and the shapes of its zones")
    def plan(store: Store, token: Token = reader) -> Response:
        api.store(token, store)
        found = api.plan(store) if api.plan is not None else None
        return json_response(found or {"svg": None, "shapes": {}})

    for series in SERIES:
        _series_route(routes, api, reader, series)
    _lists(routes, api, reader)
    _boards(routes, api, reader)

    @routes.get("/stores/{store:path}", tags=["stores"], summary="One store now")
    def store(store: Store, token: Token = reader) -> Response:
        return json_response(_iso_store(api.store(token, store)))

    return routes


def _series_route(routes: APIRouter, api: Api, reader: Any, series: Series) -> None:
    def answer(token: Token, store: str, start: str | None, end: str | None, limit: int, step: str) -> Response:
        api.store(token, store)
        if step not in series.most_days:
            raise HTTPException(400, f"step must be one of {', '.join(series.most_days)}")
        first, last = api.range(start, end, DAY, series.most_days[step] * DAY)
        given = {"store": store, "from": first, "to": last, "limit": limit + 1}
        rows = api.source.rows(series.sql(), given | ({"step": step} if series.steps else {}))
        shown = [served(row) for row in rows[: limit + 1]]
        return json_response({"store": store, **_cut(shown, limit, series.table.time)})

    def stepped(
        store: Store, start: From = None, end: To = None, limit: Limit = 2000, step: Step = "15m", token: Token = reader
    ) -> Response:
        return answer(token, store, start, end, limit, step)

    def plain(store: Store, start: From = None, end: To = None, limit: Limit = 2000, token: Token = reader) -> Response:
        return answer(token, store, start, end, limit, "")

    routes.add_api_route(
        f"/stores/{{store:path}}/{series.path}",
        stepped if series.steps else plain,
        tags=["series"],
        summary=series.summary,
        description=series.table.comment,
        response_model=series_model(series.table),
        operation_id=f"{series.path.replace('/', '_')}_of_store",
    )


def _cut(rows: list[Row], limit: int, time: str) -> Row:
    """Rows up to the limit, cut between two times, and the time to go on from."""
    if len(rows) <= limit:
        return {"rows": rows, "next": None}
    edge = rows[limit][time]
    kept = [row for row in rows[:limit] if row[time] < edge]
    return {"rows": kept or rows[:limit], "next": edge}


def _lists(routes: APIRouter, api: Api, reader: Any) -> None:
    def run(sql: str, token: Token, only: str | None, limit: int = MOST_ROWS) -> list[Row]:
        now = int(api.now())
        if only is not None:
            api.store(token, only)
        rows = api.source.rows(f"{as_parameters(sql, 60)} LIMIT {limit:d}", {"from": now - 86400, "to": now})
        return [served(row) for row in rows if _public(row, token) and only in (None, row["site"])]

    @routes.get("/lines", tags=["lists"], summary="Every line, with its role")
    def lines(store: Only = None, token: Token = reader) -> Response:
        return json_response({"lines": run(f"SELECT * FROM ({all_lines()}) ORDER BY site, device, line", token, store)})

    @routes.get("/devices", tags=["lists"], summary="Every sensor, and whether it is off")
    def devices(store: Only = None, token: Token = reader) -> Response:
        sql = f"SELECT site, device, name, last_ms, every_s AS expected_interval_s, {OFF} AS off, "
        sql += "clock_of AS clock, skew_s, firmware, dialect, messages"
        return json_response({"devices": run(f"{sql} FROM ({DEVICES}) ORDER BY site, device", token, store)})

    @routes.get("/alerts", tags=["lists"], summary="Alert episodes of the last 90 days, newest first")
    def alerts(store: Only = None, open: bool = True, token: Token = reader) -> Response:
        episodes = open_alerts() if open else EPISODES
        return json_response({"alerts": run(f"SELECT * FROM ({episodes}) ORDER BY since DESC", token, store)})

    @routes.get("/quality", tags=["lists"], summary="What became of the messages that arrived in a range")
    def quality(start: From = None, end: To = None, token: Token = reader) -> Response:
        _whole(token)
        first, last = api.range(start, end, DAY, 8 * DAY)
        return json_response(outcomes(api.source, first, last, api.now()))


def outcomes(source: Source, first: int, last: int, now: float) -> Row:
    """Messages by outcome, quarantine by reason, and how far the log is stored. Raises StoreDown."""
    rows = source.rows(QUALITY_SQL, {"from": first, "to": last})
    total = {name: sum(r["messages"] for r in rows if r["outcome"] == name) for name in ("stored", "duplicate", "quarantined")}
    reasons: dict[str, int] = {}
    for row in rows:
        if row["reason"]:
            reasons[row["reason"]] = reasons.get(row["reason"], 0) + row["messages"]
    progress = source.rows(PROGRESS_SQL, {})
    newest = max((r["log_ms"] for r in progress), default=None)
    return {
        "received": sum(total.values()),
        "stored": total["stored"],
        "duplicates": total["duplicate"],
        "quarantined": total["quarantined"],
        "refused_by_reason": reasons,
        "age_s": None if newest is None else max(0.0, round(now - newest / 1000, 3)),
        "partitions": progress,
    }


def _whole(token: Token) -> None:
    if token.sites is not None:
        raise HTTPException(403, "This token may not do that.")


def _shape(board: Board) -> Row:
    """A board for the page: everything but the SQL."""
    panels = [
        {
            **{n: getattr(p, n) for n in ("id", "title", "description", "kind", "width", "height", "live", "empty")},
            "fields": [
                {n: getattr(f, n) for n in ("name", "title", "unit", "role", "warn", "alarm", "states")} for f in p.fields
            ],
        }
        for p in board.panels
    ]
    return {**{n: getattr(board, n) for n in ("uid", "title", "description", "scope", "refresh_s", "hours")}, "panels": panels}


def _boards(routes: APIRouter, api: Api, reader: Any) -> None:
    @routes.get("/boards", tags=["boards"], summary="The declared boards")
    def all_boards(token: Token = reader) -> Response:
        shown = [b for b in api.boards.values() if b.scope != "installation" or token.sites is None]
        return json_response({"boards": [_shape(b) for b in shown], "now": api.now(), "default_zone": api.default_zone})

    @routes.get("/boards/{board}/{panel}", tags=["boards"], summary="The answer of one panel, in columns")
    def panel(
        board: str, panel: str, store: Only = None, start: From = None, end: To = None, token: Token = reader
    ) -> Response:
        try:
            found = api.boards[board]
            asked = found.panel(panel)
        except KeyError:
            raise HTTPException(404, "No such board or panel.") from None
        stores, zone = _stores_for(api, token, found, store)
        chosen = api.range(start, end, DAY, MOST_S) if start or end else None
        return json_response(api.panels.answer(found, asked, stores, zone_of(zone, api.default_zone), chosen))


def _stores_for(api: Api, token: Token, board: Board, store: str | None) -> tuple[list[str] | None, str]:
    """Stores that a board may show to a token, and the zone of its day."""
    if board.scope == "installation":
        _whole(token)
        return None, ""
    if store is not None:
        return [store], str(api.store(token, store)["zone"])
    if board.scope == "store":
        raise HTTPException(400, "This board shows one store: add store=ID.")
    return (None if token.sites is None else sorted(token.sites)), ""
