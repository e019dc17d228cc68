"""VS360 passage counter (pair of infrared beams) over LoRaWAN: bytes. One pair of in and out, reported as line 1.

Counts as of the VS350: 04 CC running totals, 05 CC what came since the report before, both 16 bit, 84 CC and 85 CC with an
alarm byte. 01 75 and 02 75 battery of the main and of the node device in percent (the node's once a day); 03 F4 an event (0
counting anomaly, 1 node silent, 2 misaligned) and whether it is raised; 0A EF measurement time (reports on round clock times
only). 20 CE stored records as of the VS350.

Formats: vendor's "VS360 uplink" page; SensorDecoders vs360.
"""

from schemas.events import DeviceStatus, LineCount, Refusal, Report
from schemas.sensors._channels import BASIC_3XX
from schemas.sensors._frame import Layout
from schemas.sensors._record import Record
from schemas.sensors._sample import DEVICE, Sample
from schemas.sensors.lorawan_vs35x import COUNTS, STORED

DIALECT = "lorawan_vs360"
MODELS = ("VS360",)
ORDER = 33

EVENTS = ("counting_anomaly", "node_device_without_response", "devices_misaligned")


def _node_battery(record: Record, frame: bytes, at: int) -> None:
    record.status["battery_node_pct"] = frame[at]


def _event(record: Record, frame: bytes, at: int) -> None:
    kind, raised = frame[at], frame[at + 1]
    if kind >= len(EVENTS) or raised > 1:
        raise ValueError(f"event {kind} with status {raised}")
    record.status[EVENTS[kind]] = raised == 1


LAYOUT = Layout(
    DIALECT,
    MODELS,
    BASIC_3XX | COUNTS | {0x0275: (1, _node_battery), 0x03F4: (2, _event)},
    STORED,
    answers={
        0x06: 9, 0x10: 1, 0x28: 1, 0x35: 8, 0x4A: 1, 0x68: 1, 0x69: 1, 0x6A: 3, 0x6D: 1, 0x75: 6, 0x84: 1, 0x8E: 3, 0x96: 8,
        0xA6: 1, 0xA8: 1, 0xA9: 1, 0xBD: 2, 0xED: 3, 0xFC: 1, 0xFD: 1,
    },
    extended={0x10: 1},
)  # fmt: skip

SAMPLES = [
    Sample(
        bytes.fromhex("017564 02755F 05CC03000200 04CC1E001C00"),
        [
            Report(
                DEVICE,
                DIALECT,
                "",
                None,
                [
                    LineCount(1, "window", None, None, 3, 2),
                    LineCount(1, "total", None, None, 30, 28),
                    DeviceStatus({"battery_pct": 100, "battery_node_pct": 95}),
                ],
            )
        ],
        "both batteries, period, totals",
    ),
    Sample(
        bytes.fromhex("03F40001 03F40000 03F40101 85CC0900070001"),
        [
            Report(
                DEVICE,
                DIALECT,
                "",
                None,
                [
                    LineCount(1, "window", None, None, 9, 7),
                    DeviceStatus(
                        {
                            "counting_anomaly": False,
                            "node_device_without_response": True,
                            "period_count_alarm": "threshold_alarm",
                        }
                    ),
                ],
            )
        ],
        "events in their order: the later one of a kind holds",
    ),
    Sample(
        bytes.fromhex("05CC03000200 03F40901"),
        [
            Report(
                DEVICE,
                DIALECT,
                "",
                None,
                [LineCount(1, "window", None, None, 3, 2)],
                [Refusal("bad_value", "byte 6", "event 9 with status 1")],
            )
        ],
        "an event that nobody knows",
    ),
]
