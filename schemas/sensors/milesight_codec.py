"""A codec's object of a LoRaWAN frame, sent on without an envelope: keys such as `line_1_total_in` or `people_count_all`.

The vendor's public decoders of 2023 and of now, and those of other platforms, write different names; regions with a
`region_0` count from 0, all others from 1. `timestamp` is the time of measurement, but from a VS133 or VS135 (`line_n_…`) the
echo of a command; within `history` always. The device is known only when the object has its `sn`. Prefer an envelope with the
frame's bytes: there the codec does not matter.

Formats: SensorDecoders 2023 and e79c9d8 (VS121, VS13x, VS3xx); the Things Network's codec files; akenza device type library.
"""

from schemas.events import DeviceStatus, DwellSummary, LineCount, Refusal, Report, ZoneCount
from schemas.sensors._codec import read_object
from schemas.sensors._codec_keys import names_quantities
from schemas.sensors._frame import Uplink
from schemas.sensors._json import Draft, Object, identity
from schemas.sensors._sample import Sample

DIALECT = "milesight_codec"
MODELS = ("VS121", "VS132", "VS133", "VS135", "VS3xx")
ORDER = 60


def accepts(message: Object) -> bool:
    return names_quantities(message, surely=True)


def decode_object(message: Object, draft: Draft) -> list[Report]:
    return read_object(Uplink(identity(message.get("sn")), b""), message, draft.budget)


_STORED = 1754912384  # 2025-08-11 11:39:44 UTC

SAMPLES = [
    Sample(
        b"""{"sn": "6600B0000001", "people_counter_all": 3, "region_count": 3, "region_0": 1, "region_1": 0, "region_2": 1,
"in": 2, "out": 1, "max": 5}""",
        [
            Report(
                "6600b0000001",
                DIALECT,
                "",
                None,
                [
                    LineCount(1, "window", None, None, 2, 1),
                    ZoneCount(0, "window", None, None, 3, 5),
                    *(ZoneCount(zone, "window", None, None, None, occupied=zone != 2) for zone in (1, 2, 3)),
                    DeviceStatus({"serial": "6600B0000001"}),
                ],
            )
        ],
        "VS121 in the spelling of 2023: regions count from 0",
    ),
    Sample(
        b"""{"sn": "6600B0000002", "line_1": {"total_in": 72, "total_out": 200}, "line_1_period_in": 3.0,
"line_1_period_out": "2", "line_1_child_period_in": 1, "line_1_child_period_out": 0, "region_2_count": 4,
"region_2_avg_dwell": 60, "region_2_max_dwell": 90, "master_occlusion_alarm": "alarm_released", "timestamp": 1754912384,
"history": [{"timestamp": 1754912384, "line_1_period_in": 1, "line_1_period_out": 2},
{"timestamp": 0, "line_1_period_in": 1}]}""",
        [
            Report(
                "6600b0000002",
                DIALECT,
                "",
                None,
                [
                    LineCount(1, "total", None, None, 72, 200),
                    LineCount(1, "window", None, None, 3, 2, 1, 0),
                    ZoneCount(2, "window", None, None, 4),
                    DwellSummary(2, None, None, 60.0, 90.0),
                    DeviceStatus({"serial": "6600B0000002", "occlusion_master": False}),
                ],
                [Refusal("bad_time", "history[1]", "stored at 0: the clock was not set")],
            ),
            Report(
                "6600b0000002",
                DIALECT,
                "1754912384",
                _STORED,
                [LineCount(1, "window", None, None, 1, 2)],
                retransmission=True,
                flags=("history",),
            ),
        ],
        "VS133, nested and flat: the timestamp is the echo of a command, the stored one is not",
    ),
    Sample(
        b"""{"sn": "6600B0000003", "people_total_counts": 7, "region_1_enable": "enable", "region_1": "occupied",
"region_2_enable": "disable", "region_2": "vacant", "illuminance_status": "bright", "temperature": 21.5, "humidity": 40,
"battery": 90, "timestamp": 1754912384, "temperature_alarm": "High Temperature Alarm", "detection_status": "unknown"}""",
        [
            Report(
                "6600b0000003",
                DIALECT,
                "",
                _STORED,
                [
                    ZoneCount(0, "window", None, None, 7),
                    ZoneCount(1, "window", None, None, None, occupied=True),
                    DeviceStatus(
                        {
                            "serial": "6600B0000003",
                            "bright": True,
                            "temperature_C": 21.5,
                            "humidity_pct": 40,
                            "battery_pct": 90,
                            "temperature_alarm": "high_temperature_alarm",
                        }
                    ),
                ],
            )
        ],
        "VS321: a region that is not in use says nothing; alarm words in another spelling; a state that the codec did not know",
    ),
    Sample(
        b"""{"sn": "6600B0000004", "total_in": 30, "total_out": -1, "period_in": 2, "period_out": 1, "event": [
{"type": "Counting Anomaly", "status": "Alarm"}, {"type": "Counting Anomaly", "status": "Alarm Release"}]}""",
        [
            Report(
                "6600b0000004",
                DIALECT,
                "",
                None,
                [
                    LineCount(1, "window", None, None, 2, 1),
                    DeviceStatus({"serial": "6600B0000004", "counting_anomaly": False, "line_1_total_people_in": 30}),
                ],
                [Refusal("negative_count", "total_out", "-1")],
            )
        ],
        "VS360: events in their order; half of a pair of totals is no count",
    ),
]
