"""The declared boards as Grafana JSON (classic model, schemaVersion 42) and file provisioning.

Built with grafana-foundation-sdk 0.0.21, which has no ClickHouse query type: `ClickHouseQuery` is ours. Houses defaults where
the SDK's are wrong for us (boards.md 3): panel ids, calcs of stats, visible legends. Needs Grafana >= 11.6 with
grafana-clickhouse-datasource >= 4.20.
"""

import json
from collections.abc import Callable
from typing import Any

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import nodegraph, stat, table, timeseries
from grafana_foundation_sdk.builders.common import ReduceDataOptions, VizLegendOptions
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as models

from dashboards import health
from dashboards.board import STORE_VARIABLE, Board, Field, Panel, boards

PLUGIN = "grafana-clickhouse-datasource"
UID = "footstream-clickhouse"
FOLDER_UID, FOLDER = "footstream", "Footstream"
MAX_POINTS = 720
FLOOR_S = 5
"""Grafana's default min_refresh_interval."""

_UNITS = {"share": "percentunit", "seconds": "s", "time": "dateTimeAsIso", "text": "string", "score": "none", "ratio": "none"}
_LEVELS = {"ok": "green", "warn": "orange", "alarm": "red", "off": "gray"}


class ClickHouseQuery(Dataquery):  # type: ignore[misc]  # the SDK is not followed: it warns on import and is slow to check
    """A query of the ClickHouse plugin, v4. `queryType` and `format` are both set, or editor and backend disagree."""

    def __init__(self, sql: str, series: bool) -> None:
        self.sql, self.series = sql, series

    def to_json(self) -> dict[str, object]:
        return {
            "refId": "A",
            "datasource": {"type": PLUGIN, "uid": "${datasource}"},
            "editorType": "sql",
            "queryType": "timeseries" if self.series else "table",
            "format": 0 if self.series else 1,
            "rawSql": self.sql,
            "pluginVersion": "4.20.0",
        }


class _Query:
    """Builder around a query, as the SDK wants it."""

    def __init__(self, query: ClickHouseQuery) -> None:
        self._query = query

    def build(self) -> Dataquery:
        return self._query


def _property(name: str, value: Any) -> Any:
    return models.DynamicConfigValue(id_val=name, value=value)


def _thresholds(field: Field) -> Any:
    steps: list[tuple[float | None, str]] = [(None, "green" if field.warn is not None or field.alarm is not None else "text")]
    steps += [(field.warn, "orange")] if field.warn is not None else []
    steps += [(field.alarm, "red")] if field.alarm is not None else []
    return {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in steps]}


def _mappings(field: Field) -> list[Any]:
    options = {
        name: {"text": words, "color": _LEVELS[level], "index": i} for i, (name, words, level) in enumerate(field.states)
    }
    return [{"type": "value", "options": options}] if options else []


def _common(field: Field) -> list[Any]:
    """Name, unit, marks and words of a column: the same in every kind of panel."""
    found = [_property("displayName", field.title), _property("unit", _UNITS.get(field.unit, "none"))]
    if field.unit in ("people", "count"):
        found.append(_property("decimals", 0))
    if field.warn is not None or field.alarm is not None:
        found.append(_property("thresholds", _thresholds(field)))
    if field.states:
        found.append(_property("mappings", _mappings(field)))
    return found


def _cell(field: Field) -> list[Any]:
    found = _common(field)
    if field.role == "key":
        return [*found, _property("custom.hideFrom.viz", True)]
    if field.name == "share":
        gauge = {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}
        return [*found, _property("custom.cellOptions", gauge), _property("min", 0), _property("max", 1)]
    if field.warn is not None or field.alarm is not None or field.states:
        return [*found, _property("custom.cellOptions", {"type": "color-text"})]
    return found


def _line(field: Field, low: str) -> list[Any]:
    found = _common(field)
    hidden = {"legend": True, "tooltip": False, "viz": False}
    if field.role == "limit":
        return [
            *found,
            _property("custom.lineStyle", {"fill": "dash", "dash": [10, 10]}),
            _fixed("red"),
            _property("custom.fillOpacity", 0),
        ]
    if field.role == "compare":
        dash = [
            _property("custom.lineStyle", {"fill": "dash", "dash": [4, 6]}),
            _property("custom.drawStyle", "line"),
            _fixed("purple"),
        ]
        return [*found, *dash, _property("custom.fillOpacity", 0)]
    if field.role == "low":
        return [
            *found,
            _property("custom.lineWidth", 0),
            _property("custom.hideFrom", hidden),
            _property("custom.fillOpacity", 0),
        ]
    if field.role == "high":
        band = [_property("custom.fillBelowTo", low), _property("custom.fillOpacity", 20), _fixed("blue")]
        return [*found, _property("custom.lineWidth", 0), *band, _property("custom.hideFrom", hidden)]
    return found


def _fixed(colour: str) -> Any:
    return _property("color", {"mode": "fixed", "fixedColor": colour})


def _stat(panel: Panel) -> Any:
    made = stat.Panel().reduce_options(ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields("/.*/"))
    made = made.color_mode(common.BigValueColorMode.VALUE).graph_mode(common.BigValueGraphMode.NONE)
    made = made.text_mode(common.BigValueTextMode.VALUE_AND_NAME).no_value("not measured")
    for field in panel.fields:
        made = made.override_by_name(field.name, _common(field))
    return made


def _table(panel: Panel) -> Any:
    made = table.Panel().no_value("–")
    for field in panel.fields:
        made = made.override_by_name(field.name, _cell(field))
        if field.name in ("store", "site_name") and any(f.name == "site" for f in panel.fields):
            url = "/d/footstream-store?var-store=${__data.fields.site}&${__url_time_range}"
            made = made.override_by_name(field.name, [_property("links", [{"title": "Open the store", "url": url}])])
    return made


def _graph(panel: Panel) -> Any:
    """A node graph: Grafana has no Sankey diagram of its own, and works out the nodes from the edges (`id`, `source`,
    `target`)."""
    made = nodegraph.Panel()
    for field in panel.fields:
        made = made.override_by_name(field.name, _common(field))
    return made


def _series(panel: Panel) -> Any:
    bars = panel.kind == "bars"
    made = timeseries.Panel().legend(VizLegendOptions().show_legend(True).placement(common.LegendPlacement.BOTTOM))
    made = made.draw_style(common.GraphDrawStyle.BARS if bars else common.GraphDrawStyle.LINE).fill_opacity(60 if bars else 0)
    made = made.line_width(0 if bars else 2).show_points(common.VisibilityMode.NEVER).min(0)
    value = next(f for f in panel.fields if f.role == "value")
    made = made.unit(_UNITS.get(value.unit, "none"))
    low = next((f.title for f in panel.fields if f.role == "low"), "")
    if any(f.role == "label" for f in panel.fields):
        return made.stacking(_stacked()) if bars else made
    for field in panel.fields[1:]:
        made = made.override_by_name(field.name, _line(field, low))
    return made


def _stacked() -> Any:
    """Bars of several labels stand on each other."""
    from grafana_foundation_sdk.builders.common import StackingConfig

    return StackingConfig().mode(common.StackingMode.NORMAL).group("A")


_KINDS: dict[str, Callable[[Panel], Any]] = {
    "stores": _table,
    "table": _table,
    "stat": _stat,
    "timeseries": _series,
    "bars": _series,
    "plan": _table,
    "grid": _table,
    "sankey": _graph,
}


def _panel(panel: Panel, number: int, x: int, y: int) -> Any:
    made = _KINDS[panel.kind](panel)
    sql = panel.sql
    made = (
        made.id(number)
        .title(panel.title)
        .description(panel.description)
        .grid_pos(models.GridPos(h=panel.height, w=panel.width, x=x, y=y))
    )
    made = made.datasource(common.DataSourceRef(type_val=PLUGIN, uid="${datasource}"))
    made = made.with_target(_Query(ClickHouseQuery(sql, panel.kind in ("timeseries", "bars"))))
    return made.interval(f"{panel.step_s}s").max_data_points(MAX_POINTS)


def _placed(board: Board) -> list[tuple[Panel, int, int]]:
    """Panels with their place on the grid: rows are filled from left to right."""
    x = y = tallest = 0
    placed = []
    for panel in board.panels:
        if x + panel.width > 24:
            x, y, tallest = 0, y + tallest, 0
        placed.append((panel, x, y))
        x, tallest = x + panel.width, max(tallest, panel.height)
    return placed


def _store_variable(board: Board) -> Any:
    query = {"refId": "stores", "editorType": "sql", "queryType": "sql", "rawSql": STORE_VARIABLE}
    made = build.QueryVariable("store").label("Store").query(query).refresh(models.VariableRefresh.ON_DASHBOARD_LOAD)
    made = made.datasource(common.DataSourceRef(type_val=PLUGIN, uid="${datasource}")).sort(models.VariableSort.DISABLED)
    several = board.scope == "chain"
    return made.multi(several).include_all(several)


def dashboard(board: Board) -> dict[str, Any]:
    """One board as the JSON that Grafana imports."""
    made = build.Dashboard(board.title).uid(board.uid).description(board.description).tags(["footstream", board.scope])
    made = made.refresh(f"{board.refresh_s}s").timezone("browser").editable().tooltip(models.DashboardCursorSync.CROSSHAIR)
    made = made.time("now/d" if board.hours is None else f"now-{board.hours}h", "now")
    made = made.with_variable(build.DatasourceVariable("datasource").label("Data source").type(PLUGIN))
    if board.scope != "installation":
        made = made.with_variable(_store_variable(board))
    made = made.link(
        build.DashboardLink("Footstream")
        .type(models.DashboardLinkType.DASHBOARDS)
        .tags(["footstream"])
        .as_dropdown(True)
        .keep_time(True)
    )
    for number, (panel, x, y) in enumerate(_placed(board), 1):
        made = made.with_panel(_panel(panel, number, x, y))
    found: dict[str, Any] = json.loads(json.dumps(made.build(), cls=JSONEncoder))
    return found


def dashboards() -> list[dict[str, Any]]:
    """Every board of Grafana: those over the store, and the one over the metrics of the roles."""
    return [*map(dashboard, boards().values()), health.dashboard()]


DATASOURCE = """# Data source of the Footstream boards. CH_HOST, CH_PORT, CH_USER and CH_PASSWORD
# come from Grafana's environment.
apiVersion: 1
prune: true
datasources:
  - name: Footstream ClickHouse
    uid: footstream-clickhouse
    type: grafana-clickhouse-datasource
    access: proxy
    editable: false
    jsonData:
      host: $CH_HOST
      port: $CH_PORT
      protocol: http
      secure: false
      username: $CH_USER
      defaultDatabase: footstream
      dialTimeout: "10"
      queryTimeout: "30"
      maxOpenConns: "50"
      maxIdleConns: "25"
      connMaxLifetime: "5"
      enableMapKeysDiscovery: false
    secureJsonData:
      password: $CH_PASSWORD
"""

PROVIDER = """# Loads the Footstream boards from the folder beside the data sources.
apiVersion: 1
providers:
  - name: footstream
    folder: Footstream
    folderUid: footstream
    type: file
    disableDeletion: false
    allowUiUpdates: false
    updateIntervalSeconds: 30
    options:
      path: /etc/grafana/provisioning/footstream-boards
      foldersFromFilesStructure: false
"""


def rendered() -> dict[str, str]:
    """Every file of the provisioning tree: path below the output folder -> content. The same on every run."""
    files = {"provisioning/datasources/footstream.yaml": DATASOURCE, "provisioning/dashboards/footstream.yaml": PROVIDER}
    for made in dashboards():
        text = json.dumps(made, indent=2, ensure_ascii=False, sort_keys=True)
        files[f"provisioning/footstream-boards/{made['uid']}.json"] = text + "\n"
    return files
