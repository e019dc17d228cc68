"""Every board in the folder: its declaration, its Grafana JSON, and its SQL run on a real engine over seeded stores.

The checks are 1 to 3 of boards.md 5: model, query, shape.
"""

import json
import re
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest

from dashboards.board import STORE_VARIABLE, Board, Panel, boards
from dashboards.grafana import FLOOR_S, MAX_POINTS, dashboard, rendered
from dashboards.macros import as_grafana
from dashboards.web.live import VOLATILE
from schemas.rows import TABLES
from tests.support.board_store import BoardStore
from tests.support.seed import Seed

BOARDS = boards()
PANELS = [pytest.param(b, p, id=f"{uid}/{p.id}") for uid, b in BOARDS.items() for p in b.panels]
EACH = [pytest.param(b, id=uid) for uid, b in BOARDS.items()]
REPO = Path(__file__).parents[2]


def stores_to_try(board: Board, chain: Seed) -> list[list[str] | None]:
    """One store, several, all, none that exists; only what the board's variable allows."""
    ids = [shop.site for shop in chain.chain]
    one: list[list[str] | None] = [ids[:1], ["no-such-store"]]
    return [*one, ids[:3], None] if board.scope == "chain" else one if board.scope == "store" else [None]


def ranges(now: int) -> list[tuple[int, int]]:
    """The last hours, two days, a range without data."""
    return [(now - 6 * 3600, now), (now - 2 * 86400, now), (now - 400 * 86400, now - 399 * 86400)]


def step_of(panel: Panel, start: int, end: int) -> int:
    return max(panel.step_s, (end - start) // MAX_POINTS)


def answer(store: BoardStore, panel: Panel, sites: list[str] | None, start: int, end: int) -> Any:
    return store.result(as_grafana(panel.sql, start, end, step_of(panel, start, end), {"store": sites}))


# 1. The declaration and the JSON.


@pytest.mark.parametrize(("board", "panel"), PANELS)
def test_a_panel_asks_one_question_explains_itself_and_has_a_unit_everywhere(board: Board, panel: Panel) -> None:
    assert panel.title.endswith("?")
    assert len(panel.description) > 20
    assert panel.empty
    assert all(f.unit and f.title for f in panel.fields)
    names = [f.name for f in panel.fields]
    assert len(names) == len(set(names))
    assert 0 < panel.width <= 24
    if panel.kind in ("timeseries", "bars"):
        assert panel.fields[0].role == "time"
        assert sum(f.role == "label" for f in panel.fields) <= 1


@pytest.mark.parametrize("board", EACH)
def test_a_board_has_at_most_twelve_panels_and_a_refresh_that_grafana_offers(board: Board) -> None:
    assert len(board.panels) <= 12
    assert board.refresh_s >= FLOOR_S
    assert len({p.id for p in board.panels}) == len(board.panels)
    assert [b.uid for b in BOARDS.values()].count(board.uid) == 1


@pytest.mark.parametrize(("board", "panel"), PANELS)
def test_sql_reads_only_tables_of_the_schema_and_never_asks_the_servers_clock(board: Board, panel: Panel) -> None:
    read = set(re.findall(r"\b(?:FROM|JOIN)\s+([a-z_]+)", panel.sql))
    assert read
    assert read <= TABLES.keys() | {table.stored() for table in TABLES.values()}
    assert not re.search(r"\b(now|today|yesterday|now64)\s*\(\)", panel.sql)
    assert ";" not in panel.sql


def test_what_lives_on_the_stream_is_part_of_the_row_of_a_store() -> None:
    row = {f.name for b in BOARDS.values() for p in b.panels if p.kind == "stores" for f in p.fields}
    live = {f.name for b in BOARDS.values() for p in b.panels if p.live for f in p.fields}
    assert live
    assert live <= row
    assert row >= VOLATILE


@pytest.mark.parametrize("board", EACH)
def test_the_json_survives_the_sdks_own_model(board: Board) -> None:
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models.dashboard import Dashboard

    found = dashboard(board)
    again = json.loads(json.dumps(Dashboard.from_json(found), cls=JSONEncoder))
    assert again == found


@pytest.mark.parametrize("board", EACH)
def test_the_json_has_ids_room_and_the_data_source_variable(board: Board) -> None:
    found = dashboard(board)
    assert found["schemaVersion"] == 42
    ids = [p["id"] for p in found["panels"]]
    assert sorted(ids) == list(range(1, len(ids) + 1))
    for panel in found["panels"]:
        (target,) = panel["targets"]
        assert panel["datasource"]["uid"] == target["datasource"]["uid"] == "${datasource}"
        assert (target["queryType"], target["format"]) in (("timeseries", 0), ("table", 1))
        assert panel["description"]
        if panel["type"] == "stat":
            assert panel["options"]["reduceOptions"]["calcs"] == ["lastNotNull"]
    places = [p["gridPos"] for p in found["panels"]]
    assert all(a["x"] + a["w"] <= 24 for a in places)
    for a, b in combinations(places, 2):
        apart = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"] or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert apart, (a, b)


def test_the_rendered_files_are_checked_in() -> None:
    folder = REPO / "dashboards" / "grafana"
    wanted = rendered()
    there = {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}
    assert there == wanted, "run `footstream boards render --out dashboards/grafana`"


def test_the_provisioning_files_are_yaml_with_the_fixed_names_and_no_secret() -> None:
    import yaml

    files = {name: yaml.safe_load(text) for name, text in rendered().items() if name.endswith(".yaml")}
    (source,) = files["provisioning/datasources/footstream.yaml"]["datasources"]
    assert source["uid"] == "footstream-clickhouse"
    assert source["secureJsonData"] == {"password": "$CH_PASSWORD"}
    (provider,) = files["provisioning/dashboards/footstream.yaml"]["providers"]
    assert provider["options"]["path"].endswith("/footstream-boards")


# 2. and 3. The SQL on an engine, and the shape of what comes back.


@pytest.mark.parametrize(("board", "panel"), PANELS)
def test_sql_answers_with_exactly_the_declared_columns(
    board: Board, panel: Panel, chain: Seed, chain_store: BoardStore
) -> None:
    for sites in stores_to_try(board, chain):
        for start, end in ranges(chain.now):
            columns, rows = answer(chain_store, panel, sites, start, end)
            assert [name for name, _ in columns] == [f.name for f in panel.fields]
            _check_types(panel, columns)
            if panel.kind in ("timeseries", "bars"):
                _check_series(panel, rows, start, end)


def _check_types(panel: Panel, columns: list[tuple[str, str]]) -> None:
    for field, (name, sql_type) in zip(panel.fields, columns, strict=True):
        plain = sql_type.replace("LowCardinality(", "").replace("Nullable(", "").rstrip(")")
        kind = "time" if "DateTime" in plain else "text" if plain == "String" else "number"
        assert kind == {"time": "time", "text": "text"}.get(field.unit, "number"), (name, sql_type)
        assert not re.match(r"Array|Map|Tuple|JSON", plain)


def _check_series(panel: Panel, rows: list[dict[str, Any]], start: int, end: int) -> None:
    """Ascending times (the plugin pivots long frames only then), no empty label, no more points than asked for."""
    times = [row[panel.fields[0].name] for row in rows]
    assert all(a <= b for a, b in pairwise(times))
    labels = [f.name for f in panel.fields if f.role == "label"]
    series = {row[labels[0]] for row in rows} if labels else {""}
    if labels:
        assert "" not in series
    assert len(rows) <= (MAX_POINTS + 2) * max(1, len(series))


@pytest.mark.parametrize(("board", "panel"), PANELS)
def test_every_panel_means_something_on_the_seeded_chain(
    board: Board, panel: Panel, chain: Seed, chain_store: BoardStore
) -> None:
    sites = [chain.chain[0].site] if board.scope == "store" else None
    _, rows = answer(chain_store, panel, sites, chain.now - 14 * 3600, chain.now)
    assert rows


@pytest.mark.parametrize(("board", "panel"), PANELS)
def test_an_empty_store_gives_no_error_and_no_invented_figure(
    board: Board, panel: Panel, chain: Seed, empty_store: BoardStore
) -> None:
    sites = ["x"] if board.scope == "store" else None
    columns, rows = answer(empty_store, panel, sites, chain.now - 3600, chain.now)
    assert [name for name, _ in columns] == [f.name for f in panel.fields]
    assert panel.kind == "stat" or rows == []
    assert all(not value for row in rows for value in row.values())


def test_the_variable_offers_every_store_with_its_name(chain: Seed, chain_store: BoardStore) -> None:
    _, rows = chain_store.result(STORE_VARIABLE)
    assert [(r["site"], r["site_name"]) for r in rows] == sorted(((s.site, s.name) for s in chain.chain), key=lambda s: s[1])
