"""VS330 (bathroom occupancy, radar and infrared) over LoRaWAN: bytes.

03 8E occupied (1) or vacant (0): zone 0, the whole view; other values say that it is not known. 02 82 distance in mm; 04 8E
calibration (1: it worked); 01 75 battery in percent. The rest (02 A5, 04 A8, 06 A6, 07 A7, 08 A8, 09 A9) are figures of its
self-test.

Formats: vendor's VS330 user guide; SensorDecoders vs330.
"""

from schemas.events import DeviceStatus, Report, ZoneCount
from schemas.sensors._channels import BASIC_3XX, ignore, u16, view_occupied
from schemas.sensors._frame import Layout
from schemas.sensors._record import Record
from schemas.sensors._sample import DEVICE, Sample

DIALECT = "lorawan_vs330"
MODELS = ("VS330",)
ORDER = 35


def _distance(record: Record, frame: bytes, at: int) -> None:
    record.status["distance_mm"] = u16(frame, at)


def _occupied(record: Record, frame: bytes, at: int) -> None:
    if frame[at] <= 1:
        view_occupied(record, frame[at] == 1)
    else:
        record.status["occupancy_known"] = False


def _calibrated(record: Record, frame: bytes, at: int) -> None:
    record.status["calibrated"] = frame[at] == 1


LAYOUT = Layout(
    DIALECT,
    MODELS,
    BASIC_3XX
    | {
        0x0282: (2, _distance),
        0x038E: (1, _occupied),
        0x048E: (1, _calibrated),
        0x02A5: (8, ignore),
        0x04A8: (1, ignore),
        0x06A6: (4, ignore),
        0x07A7: (4, ignore),
        0x08A8: (1, ignore),
        0x09A9: (4, ignore),
    },
    answers={0x02: 2, 0x03: 2, 0x10: 1, 0x70: 2, 0x71: 1, 0x72: 2, 0x7A: 3},
)

SAMPLES = [
    Sample(
        bytes.fromhex("01755A 0282B004 038E01 048E00"),
        [
            Report(
                DEVICE,
                DIALECT,
                "",
                None,
                [
                    ZoneCount(0, "window", None, None, None, occupied=True),
                    DeviceStatus({"battery_pct": 90, "distance_mm": 1200, "calibrated": False}),
                ],
            )
        ],
        "occupied; the calibration failed",
    ),
    Sample(
        bytes.fromhex("038E02 0282B004"),
        [Report(DEVICE, DIALECT, "", None, [DeviceStatus({"occupancy_known": False, "distance_mm": 1200})])],
        "neither occupied nor vacant: not measured",
    ),
]
