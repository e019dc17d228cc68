"""The read API over real HTTP and a real engine."""

import urllib.parse
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from dashboards.web.tokens import Token, new_token, tokens_of
from tests.support.board_store import BoardStore
from tests.support.seed import DAY, Seed
from tests.support.web import Clock, Site, events, serving

OSLO = "oslo-karl-johan"


def test_stores_now_carry_figures_units_and_times_in_utc(board: Site, chain: Seed) -> None:
    status, content = board.get("/api/v1/stores")
    assert status == 200
    assert [row["site"] for row in content["stores"]] == sorted((s.site for s in chain.chain), key=lambda s: s)
    oslo = next(row for row in content["stores"] if row["site"] == OSLO)
    assert oslo["minute"] == datetime.fromtimestamp(chain.now // 60 * 60, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert oslo["low"] <= oslo["estimate"] <= oslo["high"]
    assert board.get(f"/api/v1/stores/{OSLO}")[1] == oslo


def test_a_series_comes_with_coverage_and_revision_and_goes_on_where_it_was_cut(board: Site, chain: Seed) -> None:
    start = chain.now // 3600 * 3600 - 3 * 3600
    found, path = [], f"/api/v1/stores/{OSLO}/lines/minutes?from={start}&to={start + 3600}&limit=50"
    following: str | None = str(start)
    while following:
        status, content = board.get(path.replace(f"from={start}", f"from={urllib.parse.quote(following)}"))
        assert status == 200
        found += content["rows"]
        following = content["next"]
    expected = [r for r in chain.dicts("line_minutes") if r["site"] == OSLO and start <= r["minute"] < start + 3600]
    assert len(found) == len(expected) == 120
    assert sum(r["people_in"] for r in found) == sum(r["people_in"] for r in expected)
    assert {r["coverage"] for r in found} == {1.0}
    assert all(r["revision"] > 0 and r["child_in"] is None for r in found)


def test_buckets_name_their_civil_time_without_a_zone(board: Site, chain: Seed) -> None:
    _, content = board.get(f"/api/v1/stores/{OSLO}/buckets?step=1d&from={chain.now - 3 * DAY}")
    assert [r["local_start"][10:] for r in content["rows"]] == ["T00:00:00"] * 3
    assert all(r["start"].endswith("T22:00:00Z") for r in content["rows"])


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/stores/nowhere", 404),
        (f"/api/v1/stores/{OSLO}/minutes?from=1", 400),
        (f"/api/v1/stores/{OSLO}/minutes?from=yesterday", 400),
        (f"/api/v1/stores/{OSLO}/minutes?limit=1000000", 400),
        (f"/api/v1/stores/{OSLO}/buckets?step=2h", 400),
        (f"/api/v1/stores/{OSLO}/minutes?from=9999999999999", 400),
        ("/api/v1/boards/footstream-store/lines", 400),
        ("/api/v1/boards/nothing/lines", 404),
        ("/api/v1/boards/footstream-store/nothing?store=" + OSLO, 404),
    ],
)
def test_what_cannot_be_answered_says_why_in_one_line(board: Site, path: str, status: int) -> None:
    got, content = board.get(path)
    assert got == status
    assert content["error"]
    assert "\n" not in content["error"]


def test_sql_in_a_parameter_is_only_a_strange_name(board: Site, chain_store: BoardStore) -> None:
    nasty = urllib.parse.quote("x') OR 1=1 --", safe="")
    asked = len(chain_store.queries)
    assert board.get(f"/api/v1/stores/{nasty}/minutes")[0] == 404
    assert board.get(f"/api/v1/boards/footstream-store/lines?store={nasty}")[0] == 404
    assert board.get(f"/api/v1/alerts?store={nasty}")[0] == 404
    assert not any("1=1 --" in sql for sql in chain_store.queries[asked:])


def test_lists_and_quality_agree_with_the_rows(board: Site, chain: Seed) -> None:
    assert len(board.get("/api/v1/lines")[1]["lines"]) == len(chain.rows["lines"])
    devices = board.get("/api/v1/devices")[1]["devices"]
    assert sum(d["off"] for d in devices) == 2
    assert len(board.get("/api/v1/alerts")[1]["alerts"]) == 2
    assert len(board.get("/api/v1/alerts?open=false")[1]["alerts"]) == 3
    assert len(board.get(f"/api/v1/devices?store={OSLO}")[1]["devices"]) == 2
    quality = board.get("/api/v1/quality")[1]
    assert quality["received"] == quality["stored"] + quality["duplicates"] + quality["quarantined"]
    assert quality["refused_by_reason"] == {"not_json": len(chain.rows["quarantine"])}


def test_openapi_describes_every_column_and_the_pages_load_nothing_from_elsewhere(board: Site) -> None:
    spec = board.get("/api/v1/openapi.json")[1]
    columns = spec["components"]["schemas"]["SiteMinutes"]["properties"]
    assert columns["people_in"]["description"].startswith("People in")
    assert {"coverage", "revision", "known_at_ms"} <= columns.keys()
    for path in ("/", "/api"):
        status, page = board.get(path)
        assert status == 200
        assert "://" not in page


def test_openapi_says_how_to_send_a_token_and_what_a_refusal_looks_like(board: Site) -> None:
    spec = board.get("/api/v1/openapi.json")[1]
    assert [(s["type"], s["scheme"]) for s in spec["components"]["securitySchemes"].values()] == [("http", "bearer")]
    for path, calls in spec["paths"].items():
        if path.startswith("/api/"):
            assert calls["get"]["security"], path
            assert set(calls["get"]["responses"]) == {"200", "4XX"}, path
    step = next(p for p in spec["paths"]["/api/v1/stores/{store}/buckets"]["get"]["parameters"] if p["name"] == "step")
    assert step["description"] == "15m, 1h or 1d"


def test_health_and_metrics_answer(board: Site) -> None:
    status, health = board.get("/health")
    assert (status, health["ok"], health["role"], health["age_s"]) == (200, True, "serve", 3.0)
    status, metrics = board.get("/metrics")
    assert status == 200
    assert "footstream_serve_query_seconds_count" in metrics


def test_a_store_that_is_away_is_503_without_its_words(small_store: BoardStore, chain: Seed) -> None:
    with serving(small_store, Clock(chain.now)) as site:
        small_store.broken = True
        status, content = site.get("/api/v1/stores")
        assert (status, content) == (503, {"error": "The store does not answer; try again in a moment."})
        assert site.get("/health")[0] == 503
        small_store.broken = False
        assert site.get("/api/v1/alerts")[0] == 200


def test_without_tokens_another_host_name_is_refused(board: Site) -> None:
    assert board.get("/api/v1/stores", host="board.example.org")[0] == 421
    assert board.get("/api/v1/stores", host="localhost:1")[0] == 200


SECRETS = {name: new_token() for name in ("all", "oslo", "metrics")}


@pytest.fixture(scope="module")
def guarded(chain: Seed, chain_store: BoardStore) -> Iterator[Site]:
    tokens: tuple[Token, ...] = tokens_of(
        {
            "token": [
                {"name": "all", "sha256": SECRETS["all"][1], "scopes": ["read", "metrics"]},
                {"name": "oslo", "sha256": SECRETS["oslo"][1], "scopes": ["read"], "sites": [OSLO]},
                {"name": "metrics", "sha256": SECRETS["metrics"][1], "scopes": ["metrics"]},
            ]
        }
    )
    with serving(chain_store, Clock(chain.now), tokens) as site:
        yield site


PATHS = (
    "stores",
    f"stores/{OSLO}",
    "stores/x",
    f"stores/{OSLO}/minutes",
    "lines",
    "devices",
    "alerts",
    "quality",
    "boards",
    "live",
)


def test_without_a_token_nothing_is_told_not_even_what_exists(guarded: Site) -> None:
    answers = {(path, guarded.get(f"/api/v1/{path}", token)[0]) for path in PATHS for token in ("", "fs_wrong")}
    assert {status for _, status in answers} == {401}
    bodies = {str(guarded.get(f"/api/v1/{path}")[1]) for path in PATHS}
    assert bodies == {"{'error': 'A bearer token is needed.'}"}
    assert guarded.get("/metrics")[0] == 401
    assert guarded.get("/health") == (200, {"ok": True, "role": "serve"})


def test_a_scope_opens_its_own_door_only(guarded: Site) -> None:
    assert guarded.get("/metrics", SECRETS["metrics"][0])[0] == 200
    assert guarded.get("/api/v1/stores", SECRETS["metrics"][0]) == (403, {"error": "This token may not do that."})
    assert guarded.get("/metrics", SECRETS["oslo"][0])[0] == 403
    assert guarded.get("/api/v1/quality", SECRETS["all"][0])[0] == 200


def test_a_token_for_one_store_sees_no_other_anywhere(guarded: Site) -> None:
    token = SECRETS["oslo"][0]
    assert [row["site"] for row in guarded.get("/api/v1/stores", token)[1]["stores"]] == [OSLO]
    assert guarded.get("/api/v1/stores/berlin-mitte", token) == guarded.get("/api/v1/stores/nowhere", token)
    assert guarded.get("/api/v1/stores/berlin-mitte/minutes", token)[0] == 404
    assert {row["site"] for row in guarded.get("/api/v1/lines", token)[1]["lines"]} == {OSLO}
    assert guarded.get("/api/v1/boards/footstream-store/lines?store=berlin-mitte", token)[0] == 404
    assert guarded.get("/api/v1/quality", token)[0] == 403
    assert guarded.get("/api/v1/boards/footstream-pipeline/outcomes", token)[0] == 403
    columns = guarded.get("/api/v1/boards/footstream-chain/people", token)[1]["columns"]
    assert set(columns["store"]) == {"Oslo Karl Johan"}
    with events(guarded, token) as stream:
        assert [row["site"] for row in next(stream)[2]["stores"]] == [OSLO]


def test_a_new_row_is_on_the_stream_at_the_next_look_at_the_store(small_store: BoardStore, chain: Seed) -> None:
    from time import monotonic

    row = max((r for r in chain.dicts("occupancy") if r["site"] == OSLO), key=lambda r: r["minute"])
    with serving(small_store, Clock(chain.now), poll_s=1.0) as site, events(site) as stream:
        name, _, first = next(stream)
        assert (name, first["all"], len(first["stores"])) == ("stores", True, 2)
        small_store.insert("occupancy", [tuple({**row, "estimate": 77.0, "revision": row["revision"] + 1}.values())])
        started = monotonic()
        changed = next(data for kind, _, data in stream if kind == "stores")
        assert [(r["site"], r["estimate"]) for r in changed["stores"]] == [(OSLO, 77.0)]
        assert monotonic() - started < 10  # the look is every second; the rest is room for a busy machine
