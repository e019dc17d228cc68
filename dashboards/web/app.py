"""The application: read API, live board, health and metrics. `create_app` gets everything passed in."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from prometheus_client import generate_latest
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboards.web.api import Api, router
from dashboards.web.auth import Guard, Token
from dashboards.web.figures import PROGRESS_SQL
from dashboards.web.live import EVERY_S, Hub
from dashboards.web.source import Metrics, Query, Source, StoreDown, json_response

STATIC = Path(__file__).parent / "static"
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", CSP.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})


class Door:
    """Security headers on every answer, requests counted, and without tokens only names of this machine as Host.

    The last keeps a page from elsewhere from reading the board through a name that it points at 127.0.0.1 (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, local_only: bool) -> None:
        self.app, self.metrics, self.local_only = app, metrics, local_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def answered(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
                self.metrics.requests.labels(_route(scope), str(message["status"])).inc()
            await send(message)

        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        if self.local_only and host.rsplit(":", 1)[0] not in LOOPBACK and host not in LOOPBACK:
            await json_response({"error": "Without tokens this address answers to localhost only."}, 421)(
                scope, receive, answered
            )
            return
        await self.app(scope, receive, answered)


def _route(scope: Scope) -> str:
    route = scope.get("route")
    return getattr(route, "path", None) or "other"


def create_app(
    query: Query,
    tokens: Sequence[Token] | None,
    now: Callable[[], float],
    *,
    is_open: Callable[[str, float], bool] | None = None,
    plan: Callable[[str], dict[str, Any] | None] | None = None,
    default_zone: str = "UTC",
    version: str = "",
    poll_s: float = EVERY_S,
) -> FastAPI:
    """The board and API. `query(sql, parameters)` runs typed SQL in the store and may be called from several threads; `tokens`
    None means: everybody who reaches the address may read (loopback only). `now`: epoch seconds. `is_open(store, moment)`.
    `plan(store)`: a floor plan as `{"svg": clean text, "shapes": {"device:zone": element id}}`, None without one.

    `app.state.hub` is the live stream; call its `close()` when the server is asked to stop, for streams never end by
    themselves.
    """
    metrics = Metrics()
    source, guard = Source(query, metrics), Guard(tokens)
    api = Api(source, guard, now, default_zone, is_open, plan)
    hub = Hub(api.stores, now, metrics, poll_s)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = (
            8  # each thread costs memory, and the store is asked by two at a time
        )
        yield
        hub.close()
        source.close()

    app = FastAPI(
        title="Footstream",
        version=version or "1",
        summary="Read API of live store analytics.",
        description="Times are UTC unless they say local. A null means not measured, never zero.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        lifespan=lifespan,
    )
    app.state.hub = hub
    app.state.metrics = metrics
    app.add_middleware(Door, metrics=metrics, local_only=tokens is None)
    app.include_router(router(api, hub))
    _errors(app)
    _own_routes(app, api, hub, metrics)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app


def _errors(app: FastAPI) -> None:
    @app.exception_handler(StarletteHTTPException)
    async def refused(_: Request, error: Any) -> Response:
        return json_response({"error": str(error.detail)}, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def wrong(_: Request, error: Any) -> Response:
        first = error.errors()[0]
        return json_response({"error": f"{'.'.join(str(part) for part in first['loc'][1:])}: {first['msg']}"}, 400)

    @app.exception_handler(StoreDown)
    async def down(_: Request, error: Any) -> Response:
        return json_response({"error": "The store does not answer; try again in a moment."}, 503, {"Retry-After": "2"})


def _own_routes(app: FastAPI, api: Api, hub: Hub, metrics: Metrics) -> None:
    @app.get("/health", tags=["running"], summary="Whether this role works; more words for a token with scope metrics")
    def health(request: Request) -> Response:
        token = api.guard.who(request)
        known = token is not None and "metrics" in token.scopes
        try:
            progress = api.source.shared("health", 2.0, lambda: api.source.rows(PROGRESS_SQL, {}))
        except StoreDown as error:
            return json_response({"ok": False, "role": "serve", **({"store": str(error)} if known else {})}, 503)
        newest = max((row["log_ms"] for row in progress), default=None)
        age = None if newest is None else max(0.0, round(api.now() - newest / 1000, 3))
        words = {"age_s": age, "partitions": len(progress), "viewers": hub.viewers, "polling": hub.polling} if known else {}
        return json_response({"ok": True, "role": "serve", **words})

    @app.get("/metrics", tags=["running"], summary="Prometheus metrics of this role")
    def scrape(request: Request) -> Response:
        api.guard.need(request, "metrics")
        return Response(generate_latest(metrics.registry), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/api", include_in_schema=False)
    @app.get("/docs", include_in_schema=False)
    def documentation() -> Response:
        return _page("api.html")

    @app.get("/", include_in_schema=False)
    def board() -> Response:
        return _page("index.html")


def _page(name: str) -> Response:
    path = STATIC / name
    if not path.exists():
        raise HTTPException(404, "No such page.")
    return Response(path.read_bytes(), media_type="text/html; charset=utf-8", headers={"Cache-Control": "no-cache"})
