"""VS340 and VS341 (desk and seat occupancy) over LoRaWAN: bytes.

03 00 occupied (1) or vacant (0): zone 0, the whole view; 01 75 battery in percent.

Formats: vendor's VS340 and VS341 user guides; SensorDecoders vs340, vs341.
"""

from schemas.events import DeviceStatus, Refusal, Report, ZoneCount
from schemas.sensors._channels import BASIC_3XX, occupied
from schemas.sensors._frame import Layout
from schemas.sensors._sample import DEVICE, Sample

DIALECT = "lorawan_vs34x"
MODELS = ("VS340", "VS341")
ORDER = 36

LAYOUT = Layout(
    DIALECT,
    MODELS,
    BASIC_3XX | {0x0300: (1, occupied)},
    answers={
        0x10: 1, 0x28: 1, 0x2F: 1, 0x35: 8, 0x84: 1, 0x8E: 3, 0x95: 2, 0x96: 8, 0x98: 5, 0x99: 5, 0xB2: 1,
    },
)  # fmt: skip

SAMPLES = [
    Sample(
        bytes.fromhex("017562 030001"),
        [
            Report(
                DEVICE,
                DIALECT,
                "",
                None,
                [ZoneCount(0, "window", None, None, None, occupied=True), DeviceStatus({"battery_pct": 98})],
            )
        ],
        "somebody sits there",
    ),
    Sample(
        bytes.fromhex("017562 030007"),
        [
            Report(
                DEVICE,
                DIALECT,
                "",
                None,
                [DeviceStatus({"battery_pct": 98})],
                [Refusal("bad_value", "byte 3", "occupancy 7 is neither 0 nor 1")],
            )
        ],
        "neither occupied nor vacant",
    ),
]
