"""The fast reader of VS121-P reports says exactly what the tolerant reader says, or leaves the message to it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from schemas.sensors import decode, decode_tolerant
from schemas.sensors._vs121p_fast import decode_bytes

HEAD: dict[str, Any] = {
    "event": "Region People Counting",
    "report_type": "interval",
    "device_info": {"device": "Workplace Sensor", "device_sn": "36930000000A", "device_mac": "00:16:28:00:00:01"},
    "time_info": {
        "timezone": "UTC+5:45",
        "dst_status": False,
        "start_time": "2022/12/20 18:15:00",
        "end_time": "2022/12/20 19:15:00",
    },
}
REGIONS = {
    **HEAD,
    "current_total": 10,
    "Max_counted": 12,
    "total_mapped_regions": 2,
    "numbering_regions": [1, 4],
    "current_counted": [5, 4],
    "occupancy": [1, 0],
    "snapshot": "/9j/4AAQ",
}
LINE = {
    **HEAD,
    "time_info": {**HEAD["time_info"], "dst_status": True},
    "in_counted": 14,
    "out_counted": 9,
    "capacity_counted": 5,
    "total_data": {"in_cumulative_counted": 1204, "out_cumulative_counted": 1221, "capacity_cumulative_counted": -17},
    "flow_data": {"B-A": 3, "A-B": 4},
    "dwell_time_data": [{"region": 1, "max_dwell_time": 5200, "avg_dwell_time": 1800}],
}
BASES = [REGIONS, LINE]
ODD: list[Any] = [
    None, True, 0, 1, 2, -1, 1.0, 1.5, "", "1", " 7 ", [], {}, [None], [1], [1, 1, 1], [1, 0], [70_000, 2], "x" * 200, "ü",
    10_000, 10_001, 65_536, 2**32 - 1, 2**32, 2**63, 1e308, "2022/12/20 19:15:00", "2022/12/23 19:15:00", "2022-12-20 18:20:00",
    "2022-12-20T19:15:00+08:00", "1969/12/31 23:59:59", "2106/02/07 06:28:16", "soon", "UTC", "UTC-11:30", "UTC+99:00",
    {"A-B": 1}, {"a-b": 1}, {"A-E": 1}, {"region": 1}, [{"region": 2, "duration": 5}],
]  # fmt: skip
KEYS = [
    "max_counted", "Max_counted", "MAX_COUNTED", "current_total", "occupancy", "numbering_regions", "time", "line_trigger_data",
    "isRetransmission", "in_counted", "total_data", "flow_data", "dwell_time_data", "Time_Info", "device_sn", "heatmap",
]  # fmt: skip


def oddities(node: Any) -> Iterator[Any]:
    """The node with one value replaced, removed or added, at every place within it."""
    if isinstance(node, dict):
        for key in [*node, *(key for key in KEYS if key not in node)]:
            yield from ({**node, key: value} for value in ODD)
            yield from ({**node, key: changed} for changed in oddities(node.get(key)))
        yield from ({k: v for k, v in node.items() if k != key} for key in node)
    elif isinstance(node, list):
        for number, item in enumerate(node):
            yield from ([*node[:number], other, *node[number + 1 :]] for other in (*ODD, *oddities(item)))
        yield node[:-1]
        yield node * 40


@pytest.mark.parametrize("base", range(len(BASES)))
def test_every_single_oddity_means_the_same_to_both_readers(base: int) -> None:
    taken = 0
    for message in oddities(BASES[base]):
        payload = json.dumps(message).encode()
        taken += decode_bytes(payload) is not None
        assert decode(payload) == decode_tolerant(payload), message
    assert taken > 100, "many of them must be read by the fast reader, or nothing was compared"


@pytest.mark.parametrize("base", range(len(BASES)))
def test_well_formed_reports_take_the_fast_reader(base: int) -> None:
    assert decode_bytes(json.dumps(BASES[base]).encode()) is not None
