"""Tables and loose events, sent as footstream/v1."""

import json
import re
from pathlib import Path

import pytest

from infra.errors import Problem
from infra.replay import Item, Series, read
from schemas.events import Demographics, Detection, Event, FlowMatrix, LineCount, QueueLength, Stay, ZoneCount
from schemas.sensors import decode

PAGE = Path(__file__).parents[3] / "docs/footstream-v1.md"
SERIES = Series("Box9", "Europe/Berlin")
T = 1_785_492_000  # 2026-07-31 10:00 UTC, 12:00 in Berlin


def read_text(tmp_path: Path, name: str, text: str) -> list[Item]:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return read(tmp_path / name, SERIES, print)


def events(items: list[Item]) -> list[tuple[str, Event]]:
    reports = [report for item in items for report in decode(item.payload)]
    assert not [refusal for report in reports for refusal in report.refusals]
    return [(report.device, event) for report in reports for event in report.events]


def test_the_table_of_the_page_becomes_two_messages_of_civil_time(tmp_path: Path) -> None:
    (table,) = re.findall(r"```csv\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    items = read_text(tmp_path, "counts.csv", table)
    at = T - 2 * 3600  # the page says 10:00 in Berlin
    assert [item.at for item in items] == [at + 902, at + 1802]
    assert events(items) == [
        ("door-1", LineCount(1, "window", at, at + 900, 12, 9)),
        ("door-1", LineCount(2, "window", at, at + 900, 3, 4)),
        ("door-1", LineCount(1, "window", at + 900, at + 1800, 8, 11)),
    ]


def test_the_loose_events_of_the_page_become_messages(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8").rpartition("```json\n")[2].partition("```")[0]
    items = read_text(tmp_path, "events.jsonl", text)
    assert events(items) == [("cam-7", Stay(2, T, T + 70, 70.0)), ("cam-7", QueueLength(9, T + 120, T + 120, 4))]
    assert [item.at for item in items] == [T + 72, T + 122]


def test_the_message_of_the_page_is_read_whole() -> None:
    text = PAGE.read_text(encoding="utf-8").partition("```json\n")[2].partition("```")[0]
    assert [type(event) for _, event in events([Item(None, "", text.encode())])] == [LineCount, ZoneCount, Detection]


@pytest.mark.parametrize(
    ("table", "event"),
    [
        ("zone,time,length,wait_s\n4,1785492000,3,\n", QueueLength(4, T, T, 3)),
        (
            "zone;start;end;present;occupied\n4;2026-07-31T10:00:00Z;1785492060;3;true\n",
            ZoneCount(4, "window", T, T + 60, 3, occupied=True),
        ),
        (
            "line,start,end,gender:female,age:18-30\n2,1785492000,1785492060,3,\n",
            Demographics(2, None, T, T + 60, {"gender:female": 3}),
        ),
        (
            "type,start,end,entry-checkout,device\nflow_matrix,1785492000,1785492060,5,\n",
            FlowMatrix(T, T + 60, {"entry-checkout": 5}),
        ),
        (
            "what,zone,time,label,value\nsentiment,3,1785492000,happy,5\n",
            Detection("sentiment", T, T, 3, label="happy", value=5.0),
        ),
    ],
    ids=lambda value: str(value)[:30],
)
def test_the_columns_tell_what_a_row_is(tmp_path: Path, table: str, event: Event) -> None:
    assert events(read_text(tmp_path, "table.csv", table)) == [("box9", event)]


def test_a_table_without_places_stays_a_count_series(tmp_path: Path) -> None:
    items = read_text(tmp_path, "door.csv", "time,in,out\n2026-03-01 10:00:00,3,1\n")
    assert b"footstream/v1" not in items[0].payload


def test_whole_messages_in_json_lines_arrive_by_their_own_time(tmp_path: Path) -> None:
    message = {
        "format": "footstream/v1",
        "device": "b",
        "events": [{"type": "queue_length", "zone": 1, "time": T, "length": 2}],
    }
    other = {"y": 2}
    items = read_text(tmp_path, "m.jsonl", json.dumps(message) + "\n" + json.dumps(other) + "\n")
    assert [item.at for item in items] == [T + 2, None]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("line,start,end,people_in,people_out\n1,2026-03-29 02:30,2026-03-29 03:30,1,1\n", "does not exist in Europe/Berlin"),
        ("line,start,end,people_in,people_out\n1,noon,1785492000,1,1\n", "time 'noon' is not like"),
        ("line,people_in,people_out\n1,2\n", "row 2: 2 fields, the header has 3"),
        ("type,cells,start\nheat,[[1,]],5\n", "row 2, column cells"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(tmp_path: Path, table: str, says: str) -> None:
    with pytest.raises(Problem, match=re.escape(says)):
        read_text(tmp_path, "bad.csv", table.replace("[[1,]]", '"[[1,]"'))
