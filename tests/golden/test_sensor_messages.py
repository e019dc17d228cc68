"""Messages and the events that they must become, as a table that can be judged by reading it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from infra.decode import lines
from tests.bench.samples import TABLE, differences

Line = dict[str, Any]
CASES: list[dict[str, Any]] = json.loads(Path(__file__).with_name("sensor_messages.json").read_text())
PUBLISHED: dict[str, list[Line]] = json.loads(TABLE.read_text())
COUNTS = (
    "people_in",
    "people_out",
    "child_in",
    "child_out",
    "staff_in",
    "staff_out",
    "group_in",
    "group_out",
    "present",
    "peak",
)


def shown(line: Line) -> Line:
    """Without what the table leaves out; times as text."""
    if "quarantine" in line:
        return {"quarantine": line["quarantine"]}
    kept = {
        k: v
        for k, v in line.items()
        if v is not None and k not in ("device", "dialect", "time", "time_text", "event_id", "file")
    }
    for key in ("start", "end"):
        if key in kept:
            kept[key] = datetime.fromtimestamp(kept[key], UTC).isoformat().replace("+00:00", "Z")
    return kept


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["about"][:40])
def test_each_message_becomes_what_the_table_says(case: dict[str, Any]) -> None:
    found = [shown(line) for line in lines(json.dumps(case["payload"]).encode(), "table")]
    assert differences(case["expect"], found) == []


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_the_table_of_published_messages_is_plausible(name: str) -> None:
    """Rules that hold for any shop; a wrong byte order or unit breaks them."""
    assert PUBLISHED[name], "every file has an outcome"
    for line in PUBLISHED[name]:
        if "quarantine" in line:
            continue
        assert all(0 <= line[key] <= 20_000 for key in COUNTS if key in line)
        assert line.get("peak", line.get("present", 0)) >= line.get("present", 0)
        assert line["people_in"] >= line.get("child_in", 0) + line.get("staff_in", 0) if "people_in" in line else True
        assert 0 <= line.get("avg_s", 0) <= line.get("max_s", 0) or line.get("zone") == 4, (
            "a vendor's example has them the wrong way round"
        )
        assert 0 <= line.get("dwell_s", 0) <= 86_400
        assert 2022 <= datetime.fromtimestamp(line.get("time", 1_700_000_000), UTC).year <= 2027
        if line.get("kind") == "window" and "start" in line:
            assert 60 <= line["end"] - line["start"] <= 3600


REFUSED = {
    "gateway-building": {"gateway_notice"},
    "gateway-ug65": {"unsupported_model"},
    "milesight-platform": {"empty_report"},
    "ur35": {"router_position"},
    "vs125": {"empty_report"},
}
"""What of the published messages is not about people, by product: ambience sensors, notices, positions; one is empty."""


def test_every_product_decodes_and_what_shares_its_topics_is_refused_by_name() -> None:
    for name, found in PUBLISHED.items():
        reasons = {line["quarantine"] for line in found if "quarantine" in line}
        assert reasons <= REFUSED.get(name.split("/")[0], set()), name
        assert reasons or any("type" in line for line in found), name


def test_a_changed_field_is_found() -> None:
    """The comparison of the tables can fail."""
    assert differences([{"line": 1, "people_in": 2}], [{"line": 1, "people_in": 3}]) == [
        "line 0 people_in: expected 2, found 3"
    ]
    assert differences([], [{"line": 1}]) == ["line 0 line: expected None, found 1"]
