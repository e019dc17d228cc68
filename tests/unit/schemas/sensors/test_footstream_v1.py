"""footstream/v1: the schema, the decoder and the canonical events say the same."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import (
    Demographics,
    Detection,
    DeviceStatus,
    DwellSummary,
    Event,
    FlowMatrix,
    Heat,
    Kind,
    LineCount,
    Plain,
    QueueLength,
    Stay,
    ZoneCount,
    event_id,
)
from schemas.sensors import decode, decode_tolerant, read
from schemas.sensors.footstream_v1 import SAMPLES, decode_bytes

ROOT = Path(__file__).parents[4]
SCHEMA = json.loads((ROOT / "schemas/footstream-v1.schema.json").read_text(encoding="utf-8"))
CHECK = jsonschema.Draft202012Validator(SCHEMA)
START, END = 1_785_492_000, 1_785_492_900
SPAN = (START, END)

PEOPLE = st.integers(0, 9_999)
MAYBE = st.none() | PEOPLE
SECONDS = st.floats(0, 2_678_400, allow_nan=False) | st.integers(0, 2_678_400).map(float)
ZONE, PLACE = st.integers(0, 65_535), st.integers(1, 65_535)
WORD = st.text("abcdefgh", min_size=1, max_size=12)
HEAT = st.floats(0, 1e9, allow_nan=False)
MOMENT = st.just((END, END))


@st.composite
def line_counts(draw: st.DrawFn) -> Event:
    kinds: list[Kind] = ["window", "trigger", "total"]
    kind = draw(st.sampled_from(kinds))
    people_in, people_out = draw(PEOPLE), draw(PEOPLE)
    event = LineCount(draw(PLACE), kind, START if kind == "window" else END, END, people_in, people_out)
    event.child_in, event.staff_in = (draw(st.none() | st.integers(0, people_in)) for _ in "cs")
    event.child_out, event.staff_out = (draw(st.none() | st.integers(0, people_out)) for _ in "cs")
    event.group_in, event.group_out = draw(MAYBE), draw(MAYBE)
    return event


@st.composite
def zone_counts(draw: st.DrawFn) -> Event:
    present, peak = draw(MAYBE), draw(MAYBE)
    occupied = draw(st.booleans()) if present is None and peak is None else draw(st.none() | st.booleans())
    return ZoneCount(draw(ZONE), "window", *SPAN, present, peak, draw(MAYBE), draw(MAYBE), occupied)


@st.composite
def heats(draw: st.DrawFn) -> Event:
    if draw(st.booleans()):
        return Heat(draw(ZONE), *SPAN, draw(HEAT))
    columns, rows = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    cells = st.lists(st.tuples(st.integers(0, columns - 1), st.integers(0, rows - 1), HEAT), max_size=20)
    return Heat(draw(ZONE), *SPAN, None, draw(cells), columns, rows)


SHARE = st.none() | st.floats(0, 1)
MAYBE_TRUE = st.none() | st.booleans()
FLOW = st.dictionaries(st.tuples(WORD, WORD).map("-".join), PEOPLE, min_size=1, max_size=8)
CLASS = st.tuples(st.sampled_from(["gender", "age", "class"]), WORD).map(":".join)
GROUPS = st.dictionaries(CLASS, PEOPLE, min_size=1, max_size=6)
FIELDS = st.dictionaries(WORD, st.booleans() | st.integers(-1000, 1000) | WORD, min_size=1, max_size=5)
WHAT = st.sampled_from(["security_incident", "product_interaction", "display_dwell", "sentiment"])
LINK = st.sampled_from(["", "https://nvr.example/e/1?x=2", "http://10.0.0.1:8080"])
EVENTS: st.SearchStrategy[Event] = st.one_of(
    line_counts(),
    zone_counts(),
    heats(),
    st.builds(Stay, ZONE, st.just(START), st.just(END), SECONDS, MAYBE, MAYBE_TRUE, MAYBE_TRUE),
    st.builds(DwellSummary, ZONE, st.just(START), st.just(END), SECONDS, SECONDS, st.booleans()),
    st.builds(FlowMatrix, st.just(START), st.just(END), FLOW),
    st.builds(QueueLength, ZONE, st.just(START), st.just(END), PEOPLE, st.none() | SECONDS, MAYBE, MAYBE),
    st.builds(Demographics, PLACE, st.none(), st.just(START), st.just(END), GROUPS),
    st.builds(Demographics, st.none(), ZONE, st.just(START), st.just(END), GROUPS),
    st.builds(
        Detection,
        WHAT,
        st.just(START),
        st.just(END),
        st.none() | ZONE,
        WORD,
        WORD,
        st.none() | st.floats(0, 1),
        st.none(),
        LINK,
    ),
    st.builds(DeviceStatus, FIELDS),
)


def sent(event: Event) -> dict[str, Any]:
    """A canonical event as somebody would send it: what it does not know is left out."""
    found = {k: v for k, v in msgspec.to_builtins(event).items() if v not in (None, "", [])}
    if isinstance(event, Heat) and event.value is None:
        found["cells"] = [list(cell) for cell in event.cells]
    return found


def message(events: list[dict[str, Any]], **more: Any) -> bytes:
    return json.dumps({"format": "footstream/v1", "device": "Box-1", **more, "events": events}).encode()


@settings(max_examples=120)
@given(event=EVENTS)
def test_every_canonical_event_can_be_sent_and_comes_back_as_it_was(event: Event) -> None:
    payload = message([sent(event)], time=END) if isinstance(event, DeviceStatus) else message([sent(event)])
    CHECK.validate(json.loads(payload))
    report = decode(payload)[0]
    assert (report.events, report.refusals, report.flags) == ([event], [], ())
    assert (report.device, report.time) == ("box-1", END)


GOOD = [sample for sample in SAMPLES if not any(report.refusals for report in sample.reports)]
BAD = [sample for sample in SAMPLES if any(report.refusals for report in sample.reports)]


def test_what_is_read_without_a_complaint_is_what_the_schema_allows() -> None:
    assert len(GOOD) >= 3
    for sample in GOOD:
        CHECK.validate(json.loads(sample.payload))
    for sample in BAD:
        assert not CHECK.is_valid(json.loads(sample.payload)), sample.source


@pytest.mark.parametrize(
    ("event", "reason", "where"),
    [
        ({"type": "line_count", "line": 0, "people_in": 1, "people_out": 0}, "bad_place", "events[0].line"),
        ({"type": "line_count", "line": 1, "people_in": 1}, "missing_count", "events[0].people_out"),
        ({"type": "line_count", "line": 1, "people_in": 1, "people_out": 0, "child_in": 2}, "class_exceeds_total", ".child_in"),
        ({"type": "line_count", "line": 1, "people_in": 1, "people_out": 0, "kind": "sum"}, "bad_kind", "events[0].kind"),
        ({"type": "line_count", "line": 1, "people_in": 150_001, "people_out": 0}, "absurd_count", "events[0].people_in"),
        ({"type": "line_count", "line": 1, "people_in": 1, "people_out": 0, "start": END}, "bad_window", "events[0]"),
        ({"type": "zone_count", "zone": 1}, "missing_count", "events[0].present"),
        ({"type": "stay", "zone": 1, "time": END}, "missing_count", "events[0].dwell_s"),
        ({"type": "stay", "zone": 1, "dwell_s": float("inf")}, "not_json", ""),
        ({"type": "dwell_summary", "zone": 1, "avg_s": 3}, "missing_count", "events[0].max_s"),
        ({"type": "flow_matrix", "cells": {"A": 3}}, "bad_place", "events[0].cells"),
        ({"type": "heat"}, "missing_count", "events[0].value"),
        ({"type": "heat", "cells": [[1, 2]]}, "bad_item", "events[0].cells[0]"),
        ({"type": "heat", "cells": [[9, 2, 1]], "columns": 9}, "bad_place", "events[0].cells[0]"),
        ({"type": "heat", "cells": [[0, 0, 1]] * 4097}, "bad_section", "events[0].cells"),
        ({"type": "queue_length", "zone": 1}, "missing_count", "events[0].length"),
        ({"type": "demographics", "groups": {"age:18-30": 1}}, "bad_place", "events[0]"),
        ({"type": "demographics", "line": 1, "groups": {"name:joe": 1}}, "bad_class", "events[0].groups"),
        ({"type": "detection", "what": "face_match"}, "bad_detection", "events[0].what"),
        ({"type": "detection", "what": "sentiment", "confidence": 1.1}, "bad_number", "events[0].confidence"),
        ({"type": "detection", "what": "sentiment", "link": "http://user:secret@nvr/1"}, "bad_link", "events[0].link"),
        ({"type": "device_status", "fields": {"a": []}}, "bad_item", "events[0].fields"),
        ({"type": "stay", "zone": 1, "start": "31.7.2026", "end": END}, "bad_time", "events[0].start"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_bad_event_is_refused_with_its_place_and_its_neighbour_stays(event: dict[str, Any], reason: str, where: str) -> None:
    neighbour = {"type": "zone_count", "zone": 7, "present": 1}
    reports = decode(message([event, neighbour], start=START, end=END))
    refusals = [refusal for report in reports for refusal in report.refusals]
    assert [refusal.reason for refusal in refusals] == [reason]
    assert refusals[0].where.endswith(where)
    if reason != "not_json":
        assert any(isinstance(e, ZoneCount) and e.zone == 7 for report in reports for e in report.events)
    assert "secret" not in str(refusals)


def test_the_same_line_twice_over_the_same_time_counts_once() -> None:
    line = {"type": "line_count", "line": 1, "people_in": 1, "people_out": 0}
    report = decode(message([line, line], start=START, end=END))[0]
    assert len(report.events) == 1
    assert [refusal.reason for refusal in report.refusals] == ["duplicate_line"]


def test_an_event_has_the_same_id_whatever_else_is_sent_with_it() -> None:
    """So a spreadsheet that is sent again with new rows behind the old ones changes nothing but the new ones."""
    old = {"type": "queue_length", "zone": 1, "time": START, "length": 4}
    new = {"type": "queue_length", "zone": 1, "time": END, "length": 4}
    first, both = decode(message([old])), decode(message([new, old]))
    ids = [[event_id(report, event, n) for n, event in enumerate(report.events)] for report in (*first, *both)]
    assert ids[0] == ids[2]
    assert ids[0] != ids[1]


SOON = ["2026-07-31T10:00:00Z", "2026-07-31T12:15:00+02:00", "2026-07-31T10:00:00", "2027-01-01T00:00Z", "", "soon"]
TIMES = st.sampled_from([*SOON, START, END, END + 0.5, str(END), -1, 2**32, None, True])
ODD = st.one_of(
    TIMES,
    st.sampled_from([0, 1, -1, 1.0, 1.5, 65_536, 10_000, 2**32, 2**53 + 1, 1e300, "3", "x" * 200, " A-B ", False, [], {}]),
    st.sampled_from([[[1, 2, 3]], [[1, 2]], [[70_000, 0, 1]], {"A-B": 1}, {"age:x": -1}, {"Age:x": 1}, "total", "http://a b"]),
)
KEYS = ["start", "end", "time", "kind", "zone", "line", "type", "Zone", "extra", "value", "cells", "columns", "child", "link"]


@settings(max_examples=150)
@given(data=st.data())
def test_the_fast_reader_says_what_the_tolerant_one_says_or_nothing(data: st.DataObject) -> None:
    events = [sent(event) for event in data.draw(st.lists(EVENTS, min_size=1, max_size=3))]
    for event in events:
        for key in ("start", "end") if data.draw(st.booleans()) else ():
            event.pop(key, None)
        for _ in range(data.draw(st.integers(0, 2))):
            event[data.draw(st.sampled_from([*event, *KEYS]))] = data.draw(ODD)
    more = data.draw(
        st.fixed_dictionaries(
            {},
            optional={"start": TIMES, "end": TIMES, "time": TIMES, "site": st.sampled_from(["", "shop", 7, "x" * 200, None])},
        )
    )
    payload = message(events, **more).replace(b"Box-1", b"Box1")
    assert decode(payload) == decode_tolerant(payload)


@settings(max_examples=100)
@given(events=st.lists(EVENTS.filter(lambda event: not isinstance(event, DeviceStatus)), min_size=1, max_size=4))
def test_well_formed_messages_take_the_fast_reader(events: list[Event]) -> None:
    payload = message([sent(event) for event in events]).replace(b"Box-1", b"Box1")
    said = decode_tolerant(payload)
    assert decode_bytes(payload) == said or any(report.refusals for report in said)


def test_plain_counts_take_the_short_way() -> None:
    line = {"type": "line_count", "line": 1, "people_in": 1, "people_out": 0}
    payload = message([line], start="2026-07-31T10:00:00Z", end="2026-07-31T10:01:00Z").replace(b"Box-1", b"Box1")
    assert isinstance(read(payload), Plain)
    assert decode(payload) == decode_tolerant(payload)
