"""The board over the metrics of the roles: its JSON. What it asks for is compared with the roles in `test_observability`."""

import json
from itertools import combinations

import promql_parser
import pytest

from dashboards.health import PANELS, Panel, dashboard


@pytest.mark.parametrize("panel", PANELS, ids=lambda p: p.title)
def test_a_panel_asks_one_question_and_its_promql_parses(panel: Panel) -> None:
    assert panel.title.endswith("?") and len(panel.description) > 20 and panel.unit
    assert 1 <= len(panel.asked) <= 4, "targets are called A to D"
    for expression in panel.asked.values():
        promql_parser.parse(expression.replace("$__rate_interval", "5m"))


def test_the_json_has_a_target_for_every_question_a_place_of_its_own_and_the_data_source_variable() -> None:
    made = dashboard()
    assert [v["query"] for v in made["templating"]["list"]] == ["prometheus"]
    for number, (panel, found) in enumerate(zip(PANELS, made["panels"], strict=True), 1):
        assert (found["id"], found["title"]) == (number, panel.title)
        assert {t["legendFormat"]: t["expr"] for t in found["targets"]} == panel.asked
        assert {t["datasource"]["uid"] for t in found["targets"]} == {"${datasource}"}
    places = [p["gridPos"] for p in made["panels"]]
    assert len({(p["x"], p["y"]) for p in places}) == len(places)
    assert all(a["w"] == b["w"] and a["h"] == b["h"] for a, b in combinations(places, 2))
    assert all(p["x"] % p["w"] == 0 and p["y"] % p["h"] == 0 and p["x"] + p["w"] <= 24 for p in places)


def test_the_json_survives_the_sdks_own_model() -> None:
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models.dashboard import Dashboard

    found = dashboard()
    assert json.loads(json.dumps(Dashboard.from_json(found), cls=JSONEncoder)) == found
