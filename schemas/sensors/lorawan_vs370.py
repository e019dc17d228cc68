"""VS370 (room occupancy, radar and infrared) over LoRaWAN: bytes.

03 00 occupied (1) or vacant (0): zone 0, the whole view; 04 00 light (0 dim, 1 bright, FE switched off); 01 75 battery in
percent.

Formats: vendor's VS370 user guide; SensorDecoders vs370.
"""

from schemas.events import DeviceStatus, Report, ZoneCount
from schemas.sensors._channels import BASIC_3XX, occupied
from schemas.sensors._frame import Layout
from schemas.sensors._record import Record
from schemas.sensors._sample import DEVICE, Sample

DIALECT = "lorawan_vs370"
MODELS = ("VS370",)
ORDER = 37

_OFF = 0xFE


def _light(record: Record, frame: bytes, at: int) -> None:
    if frame[at] == _OFF:
        return
    if frame[at] > 1:
        raise ValueError(f"light {frame[at]} is neither 0 nor 1")
    record.status["bright"] = frame[at] == 1


LAYOUT = Layout(
    DIALECT,
    MODELS,
    BASIC_3XX | {0x0300: (1, occupied), 0x0400: (1, _light)},
    answers={0x10: 1, 0x28: 1, 0x35: 8, 0x4A: 1, 0x84: 1, 0x8E: 3, 0x8F: 1, 0x96: 8, 0xBA: 10, 0xBD: 2},
    extended={0x3E: 1, 0x3F: 1, 0x40: 1, 0x41: 5, 0x42: 1, 0x43: 1, 0x44: 6},
)

SAMPLES = [
    Sample(
        bytes.fromhex("017563 030001 040001"),
        [
            Report(
                DEVICE,
                DIALECT,
                "",
                None,
                [
                    ZoneCount(0, "window", None, None, None, occupied=True),
                    DeviceStatus({"battery_pct": 99, "bright": True}),
                ],
            )
        ],
        "occupied and bright",
    ),
    Sample(
        bytes.fromhex("030000 0400FE"),
        [Report(DEVICE, DIALECT, "", None, [ZoneCount(0, "window", None, None, None, occupied=False)])],
        "vacant; the light sensor is off, which is no measurement",
    ),
]
