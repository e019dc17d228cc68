"""VS133 and VS135 over LoRaWAN: bytes (VS132 sends the channels of line 1).

Per line n: total in / total out 32 bit (03/04, 06/07, 09/0A, 0C/0D with D2), period in and out 16 bit (05, 08, 0B, 0E with CC);
the same for children from channel 11 on. A frame says no window: the period is what came since the report before. Totals run
until they are cleared. Regions 0F E3 and 1D E3: one byte each, stops at 255. Dwell 10 E4 and 1E E4 in seconds. 20 CE: stored
records, one quantity each. The firmware byte 85 reads 133 though the same frame comes from a VS135: the model is not in it.

Formats: vendor's "VS13x LoRaWAN uplink" page; SensorDecoders vs133, vs135 (history from firmware 1.0.9).
"""

from typing import Any, Literal

from schemas.events import DeviceStatus, DwellSummary, Event, LineCount, Refusal, Report, ZoneCount
from schemas.sensors._channels import BASIC, dwell_pair, line_children, line_half, line_pair, serial, u16, zone_bytes
from schemas.sensors._frame import Channel, Layout
from schemas.sensors._record import Record
from schemas.sensors._sample import DEVICE, Sample

DIALECT = "lorawan_vs13x"
MODELS = ("VS133", "VS135", "VS132")
ORDER = 30


def _line_channels(kind_of_people: Literal["people", "child"], first: int) -> dict[int, Channel]:
    channels: dict[int, Channel] = {}
    for number in range(4):
        base, line = first + 3 * number, number + 1
        channels[base << 8 | 0xD2] = (4, line_half("total", line, f"{kind_of_people}_in"))
        channels[(base + 1) << 8 | 0xD2] = (4, line_half("total", line, f"{kind_of_people}_out"))
        channels[(base + 2) << 8 | 0xCC] = (4, (line_pair if kind_of_people == "people" else line_children)("window", line))
    return channels


def _occlusion(record: Record, frame: bytes, at: int) -> None:
    node = "master" if frame[at + 1] == 0 else f"node_{frame[at + 1]}"
    record.status[f"occlusion_{node}"] = frame[at + 2] == 1


def _half_dwell(child: bool, name: str) -> Channel:
    def read(record: Record, frame: bytes, at: int) -> None:
        record.dwelt(frame[at], child, **{name: u16(frame, at + 1)})

    return 3, read


_LINES = _line_channels("people", 0x03) | _line_channels("child", 0x11)

LAYOUT = Layout(
    DIALECT,
    MODELS,
    BASIC
    | _LINES
    | {
        0xFF16: (8, serial(8)),
        0x0FE3: (4, zone_bytes(1, 4)),
        0x1DE3: (4, zone_bytes(1, 4, "child")),
        0x10E4: (5, dwell_pair()),
        0x1EE4: (5, dwell_pair(child=True)),
        0x50FC: (3, _occlusion),
    },
    {key >> 8: channel for key, channel in _LINES.items()}
    | {
        0x0F: (4, zone_bytes(1, 4)),
        0x1D: (4, zone_bytes(1, 4, "child")),
        0x10: _half_dwell(False, "avg_s"),
        0x20: _half_dwell(False, "max_s"),
        0x1E: _half_dwell(True, "avg_s"),
        0x3C: _half_dwell(True, "max_s"),
    },
    answers={
        0x03: 2,
        0x04: 1,
        0x10: 1,
        0x11: 4,
        0x27: 1,
        0x40: 1,
        0x42: 1,
        0x43: 1,
        0x44: 1,
        0x51: 1,
        0x68: 1,
        0x69: 1,
        0x6A: 3,
        0x6D: 1,
    },
    extended={0x84: 3, 0x85: 2, 0x86: 1, 0x87: 1, 0x88: 2},
)


def _report(*events: Event, **more: Any) -> Report:
    return Report(DEVICE, DIALECT, "", None, list(events), **more)


_STORED_AT = 1754912384  # 2025-08-11 11:39:44 UTC

SAMPLES = [
    Sample(
        bytes.fromhex("03D27D00000004D27C00000005CC03000200 08CC00010100"),
        [
            _report(
                LineCount(1, "total", None, None, 125, 124),
                LineCount(1, "window", None, None, 3, 2),
                LineCount(2, "window", None, None, 256, 1),
            )
        ],
        "totals and period of line 1, period of line 2",
    ),
    Sample(
        bytes.fromhex("05CC03000200 13CC01000000 0FE302100709 10E401 0910 1121 50FC000201"),
        [
            _report(
                LineCount(1, "window", None, None, 3, 2, 1, 0),
                *(ZoneCount(zone, "window", None, None, people) for zone, people in ((1, 2), (2, 16), (3, 7), (4, 9))),
                DwellSummary(1, None, None, 4105.0, 8465.0),
                DeviceStatus({"occlusion_node_2": True}),
            )
        ],
        "children join their line; regions, dwell, occlusion of node 2",
    ),
    Sample(
        bytes.fromhex("16CC01000000 06D205000000 1EE4012C015802"),
        [
            _report(
                DwellSummary(1, None, None, 300.0, 600.0, True),
                DeviceStatus({"line_2_window_child_in": 1, "line_2_window_child_out": 0, "line_2_total_people_in": 5}),
            )
        ],
        "halves of an event (children alone, one direction of a total) are kept as status figures",
    ),
    Sample(
        bytes.fromhex("08CC04000500 20CE80D69968 05 01000200 20CE80D69968 10 01 0A00 20CE80D69968 20 01 1E00"),
        [
            _report(LineCount(2, "window", None, None, 4, 5)),
            Report(
                DEVICE,
                DIALECT,
                str(_STORED_AT),
                _STORED_AT,
                [LineCount(1, "window", None, None, 1, 2), DwellSummary(1, None, None, 10.0, 30.0)],
                retransmission=True,
                flags=("history",),
            ),
        ],
        "a live period and stored records of one moment; average and longest dwell are entries 10 and 20",
    ),
    Sample(
        bytes.fromhex("0ECC05000700 7701 05CC01000100"),
        [_report(LineCount(4, "window", None, None, 5, 7), refusals=[Refusal("unknown_channel", "byte 6", "channel 77 01")])],
        "an unknown channel ends decoding; what came before stands",
    ),
]
