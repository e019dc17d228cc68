"""The fast reader of line reports says exactly what the tolerant reader says, or leaves the message to it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.sensors import decode, decode_tolerant
from schemas.sensors._vs13x_fast import decode_bytes

COUNT = st.one_of(
    st.integers(0, 30), st.sampled_from([9_999, 10_000, 10_001, 70_000, 2**32 - 1, 2**32, -1, 1.0, 1.5, "3", None, True])
)
SMALL = st.integers(0, 30)
TIME = st.sampled_from(
    [
        "2026-03-02T09:01:00+01:00", "2026-03-02T09:02:00+01:00", "2026-03-02T08:03:00-00:00", "2026-03-02 09:04:00+01:00",
        "2026-03-02T08:05:00Z", "2026/03/02 09:06:00", "2026-03-02T09:07:00", "1969-12-31T23:59:59+00:00",
        "2106-02-07T06:28:16Z",
        "2026-03-09T09:01:00+01:00", "0001-01-01T00:00:00+14:00", "2026-02-30T09:01:00+01:00", "", "soon", None, 5,
    ]
)  # fmt: skip
GOOD_TIME = st.integers(0, 59).map(lambda minute: f"2026-03-02T09:{minute:02d}:00+01:00")


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


def lines(count: st.SearchStrategy[Any], suffix: str = "") -> st.SearchStrategy[list[Any]]:
    pair = {f"in{suffix}": count, f"out{suffix}": count}
    balance = {"capacity_counted": st.integers(-500, 500)} if suffix else {}
    block = st.fixed_dictionaries(pair, optional={**balance})
    classes = {name: st.fixed_dictionaries(pair) for name in ("children", "staff", "group")}
    number = {"line": st.one_of(st.integers(1, 4), st.integers(1, 4), st.sampled_from([0, 65536, "2", None]))}
    names = {"line_name": st.text(max_size=4), "line_uuid": st.just("0f1a2b3c-0000-4000-8000-000000000001")}
    flat = st.fixed_dictionaries({**number, **pair}, optional={**names, **balance, **classes})
    nested = st.fixed_dictionaries({**number, "total": block}, optional={**names, **classes})
    return st.lists(st.one_of(flat, nested), max_size=4)


def messages(count: st.SearchStrategy[Any], time: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    device = st.fixed_dictionaries(
        {
            "device_sn": st.sampled_from(
                ["6384E00000000001", "a1", "", "ümlaut", " 6384e1 ", "x" * 80, 42, "\N{KELVIN SIGN}1", "a-b"]
            )
        },
        optional={
            "device_name": st.one_of(st.text(max_size=5), st.just("n" * 200)),
            "running_time": st.sampled_from([0, 7200, -1, 2**40, "5", None]),
            "device_mac": st.just("24:E1:24:FA:0C:70"),
            "firmware_version": st.sampled_from(["V_135.1.0.7", "", None]),
            "cus_site_id": st.sampled_from(["shop", "", "7"]),
            "cpu": st.sampled_from([{"cpu_usage": 3}, {"CPU usage": 3.5}, {"cpu_usage": "3"}, {"cpu_usage": [1]}, {}, None, 5]),
            "device_tilt_pitch_roll": st.sampled_from([{"pitch": 1, "roll": -2.5}, {"pitch": 2**70}, {"roll": None}]),
            "Device_Name": st.just("odd"),
        },
    )
    return st.fixed_dictionaries(
        {
            "device_info": device,
            "time_info": optional(
                start_time=time, end_time=time, time=time, time_zone=st.just("UTC+1:00"), dst_status=st.booleans()
            ),
        },
        optional={
            "line_periodic_data": lines(count),
            "line_trigger_data": lines(count),
            "line_total_data": lines(count, "_counted"),
            "isRetransmission": st.sampled_from([True, False, 1, "true"]),
            "network_info": st.sampled_from([{"network_status": "true", "lac": "5"}, {"network_status": 0}, {"x": {}}, "up"]),
            "heatmap": st.just([]),
        },
    )


@st.composite
def well_formed(draw: st.DrawFn) -> dict[str, Any]:
    """What devices really send: rising line numbers, classes within their totals."""
    start = draw(st.integers(0, 1438))
    stamp = [f"2026-03-02T{m // 60:02d}:{m % 60:02d}:00+01:00" for m in (start, start + 1)]
    trigger = draw(st.booleans())
    nested = draw(st.booleans())
    items, totals = [], []
    for line in range(1, draw(st.integers(1, 4)) + 1):
        people_in, people_out = draw(SMALL), draw(SMALL)
        pair = {"in": people_in, "out": people_out}
        item: dict[str, Any] = {"line": line, "line_name": f"Line{line}", **({"total": pair} if nested else pair)}
        for name in draw(st.sets(st.sampled_from(["children", "staff", "group"]))):
            item[name] = {"in": draw(st.integers(0, people_in)), "out": draw(st.integers(0, people_out))}
        items.append(item)
        total = {"in_counted": 100 + people_in, "out_counted": 300, "capacity_counted": people_in - 200}
        totals.append({"line": line, **({"total": total} if nested else total)})
    message: dict[str, Any] = {
        "device_info": {"device_sn": "6384E00000000001", "device_name": "Door", "running_time": 60 * start},
        "time_info": {"time": stamp[1]} if trigger else {"start_time": stamp[0], "end_time": stamp[1]},
        "line_trigger_data" if trigger else "line_periodic_data": items,
    }
    if draw(st.booleans()):
        message["line_total_data"] = totals
    if draw(st.booleans()):
        message["device_info"] |= {
            "cpu": {"cpu_temperature": 61, "cpu_usage": 37.5},
            "device_tilt_pitch_roll": {"pitch": 1, "roll": 0},
        }
    if draw(st.booleans()):
        message["network_info"] = {"network_status": draw(st.sampled_from(["true", "false", "?"])), "iccid": "1"}
    return message


@settings(max_examples=400)
@given(message=well_formed())
def test_well_formed_reports_take_the_fast_reader_and_mean_the_same(message: dict[str, Any]) -> None:
    payload = json.dumps(message).encode()
    assert decode_bytes(payload) is not None, "the fast reader must not hand these on"
    assert decode(payload) == decode_tolerant(payload)


@settings(max_examples=300)
@given(message=st.one_of(messages(COUNT, TIME), messages(SMALL, GOOD_TIME)))
@example({"device_info": {"device_sn": "a1"}, "time_info": {"time": "2026-03-02T09:01:00+01:00"}, "line_trigger_data": []})
def test_odd_reports_mean_the_same_to_both_readers(message: dict[str, Any]) -> None:
    payload = json.dumps(message).encode()
    assert decode(payload) == decode_tolerant(payload)


HEAD = {
    "device_info": {
        "device_sn": "6384E00000000001", "device_name": "Door", "firmware_version": "V_125.1.0.3", "running_time": 7200,
        "cus_site_id": "shop", "cpu": {"cpu_temperature": 61, "cpu_usage": 37.5},
        "device_tilt_pitch_roll": {"pitch": 1, "roll": 0},
    },
    "network_info": {"network_status": "true", "iccid": "1"},
    "isRetransmission": False,
}  # fmt: skip
BOTH = {
    "start_time": "2026-03-02T09:01:00+01:00",
    "end_time": "2026-03-02T09:02:00+01:00",
    "time_zone": "UTC+1:00",
    "dst_status": False,
}
PAIR, SOME = {"in": 9, "out": 8}, {"in": 2, "out": 1}
TOTAL = {"in_counted": 90, "out_counted": 95, "capacity_counted": -5}
FLAT = [{"line": 1, "line_name": "L", "in": 5, "out": 3}, {"line": 2, "in": 0, "out": 0}]
BASES: list[dict[str, Any]] = [
    {**HEAD, "time_info": BOTH, "line_periodic_data": FLAT, "line_total_data": [{"line": 1, **TOTAL}, {"line": 2, **TOTAL}]},
    {**HEAD, "time_info": {"time": BOTH["end_time"]}, "line_trigger_data": FLAT},
    {
        **HEAD,
        "time_info": BOTH,
        "line_periodic_data": [
            {"line": 1, "total": PAIR, "children": SOME, "staff": SOME, "group": SOME},
            {"line": 3, "total": PAIR},
        ],
        "line_total_data": [{"line": 1, "total": TOTAL, "staff": {"in_counted": 1, "out_counted": 1}}],
    },
]
ODD: list[Any] = [
    None, True, False, 0, 1, 2, -1, 1.0, 1.5, "", "1", "true", " 7 ", [], {}, [None], {"in": 1}, {"in": 10, "out": 0},
    "x" * 200, "\x00",
    "ü", "\N{KELVIN SIGN}", 10_000, 10_001, 65_535, 65_536, 2**32 - 1, 2**32, 2**53, 2**63, 2**64, 2**70, -(2**63) - 1, 1e308,
    "2026-03-02T09:02:00+01:00", "2026-03-09T09:01:00+01:00", "2026/03/02 09:06:00", "2106-02-07T06:28:16Z",
    "1969-12-31T23:59:59Z", "soon",
    {"cpu usage": 3, "cpu_usage": 4}, {"pitch": 2**70}, PAIR, TOTAL, FLAT,
]  # fmt: skip
KEYS = [
    "in", "out", "total", "children", "staff", "group", "line", "In", " in", "OUT", "device sn", "Device_Name", "cpu", "ram",
    "time",
    "trigger_time", "Time", "isretransmission", "IsRetransmission", "capacity_counted", "network_info", "male_in",
    "region_data",
    "line_total_data", "line_trigger_data", "heatmap", "wlan mac", "custom_site_id",
]  # fmt: skip


def oddities(node: Any) -> Iterator[Any]:
    """The node with one value replaced, removed, added or doubled, at every place within it."""
    if isinstance(node, dict):
        for key in [*node, *(key for key in KEYS if key not in node)]:
            yield from ({**node, key: value} for value in ODD)
            yield from ({**node, key: changed} for changed in oddities(node.get(key)))
        yield from ({k: v for k, v in node.items() if k != key} for key in node)
    elif isinstance(node, list):
        for number, item in enumerate(node):
            for other in (*ODD, *node, *oddities(item)):
                yield [*node[:number], other, *node[number + 1 :]]
        yield node[::-1]
        yield node + node
        yield [{**node[0], "line": line} for line in range(1, 80)] if node and isinstance(node[0], dict) else node


@pytest.mark.parametrize("base", range(len(BASES)))
def test_every_single_oddity_means_the_same_to_both_readers(base: int) -> None:
    taken = 0
    for message in oddities(BASES[base]):
        payload = json.dumps(message).encode()
        taken += decode_bytes(payload) is not None
        assert decode(payload) == decode_tolerant(payload), message
    assert taken > 500, "many of them must be read by the fast reader, or nothing was compared"


@settings(max_examples=300)
@given(message=well_formed(), data=st.data())
def test_damaged_reports_mean_the_same_to_both_readers(message: dict[str, Any], data: st.DataObject) -> None:
    payload = bytearray(json.dumps(message, ensure_ascii=False).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(payload) - 1))
        payload[at : at + data.draw(st.integers(0, 3))] = data.draw(
            st.one_of(
                st.binary(max_size=2),
                st.sampled_from([b"0", b"9", b"-", b".", b"e", b" ", b'"', b"null", b"\\u0041", b"\xc3\xbc", b"\xff"]),
            )
        )
    assert decode(bytes(payload)) == decode_tolerant(bytes(payload))
