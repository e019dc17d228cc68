"""VS321 (AI occupancy sensor, up to 10 regions) over LoRaWAN: bytes.

05 FD people in the whole view, 16 bit; 06 FE mask of regions in use and mask of those occupied, 16 bit each, bit 0 = region
1; 07 FF light (1 bright); 08 F4 detection status (second byte, 1: not available); 03 67 temperature in 0.1 C and 04 68
humidity in half percents (FFFF, FF: the sensor is broken), 83 67 and 84 68 with an alarm byte; 0A EF measurement time; 01 75
battery in percent. 20 CE stored records: type 0 people, type 1 the two masks. A stored record of type 1 with all regions
vacant reads like one of the VS121: name the model in the device's name or profile.

Formats: vendor's VS321 user guide; SensorDecoders vs321; codec of the Things Network repository.
"""

from functools import lru_cache

from schemas.events import DeviceStatus, Refusal, Report, ZoneCount
from schemas.sensors._channels import (
    BASIC_3XX,
    humidity,
    humidity_alarm,
    measured_at,
    temperature,
    temperature_alarm,
    u16,
)
from schemas.sensors._frame import Layout
from schemas.sensors._record import Record
from schemas.sensors._sample import DEVICE, Sample

DIALECT = "lorawan_vs321"
MODELS = ("VS321",)
ORDER = 34

REGIONS = 10


def _present(record: Record, frame: bytes, at: int) -> None:
    record.present(0, frame[at] | frame[at + 1] << 8)


def _regions(record: Record, frame: bytes, at: int) -> None:
    used, occupied = u16(frame, at), u16(frame, at + 2)
    if used >> REGIONS or occupied & ~used:
        raise ValueError(f"regions {used:04x} with occupancy {occupied:04x}")
    zones = _occupied(used, occupied)
    if not record.zones_once(zones):
        for zone, said in zones.items():
            record.zone(zone, "occupied", said.occupied is True)


@lru_cache(4096)
def _occupied(used: int, occupied: int) -> dict[int, ZoneCount]:
    """What the masks say, by region. The same few come again and again."""
    zones = [region for region in range(REGIONS) if used >> region & 1]
    return {n + 1: ZoneCount(n + 1, "window", None, None, None, occupied=occupied >> n & 1 == 1) for n in zones}


def _light(record: Record, frame: bytes, at: int) -> None:
    record.status["bright"] = frame[at] == 1


def _detection(record: Record, frame: bytes, at: int) -> None:
    record.status["detection_available"] = frame[at + 1] == 0


LAYOUT = Layout(
    DIALECT,
    MODELS,
    BASIC_3XX
    | {
        0x0367: (2, temperature),
        0x0468: (1, humidity),
        0x05FD: (2, _present),
        0x06FE: (4, _regions),
        0x07FF: (1, _light),
        0x08F4: (2, _detection),
        0x0AEF: (4, measured_at),
        0x8367: (3, temperature_alarm),
        0x8468: (2, humidity_alarm),
    },
    {0x00: (2, _present), 0x01: (4, _regions)},
    answers={
        0x02: 2, 0x06: 9, 0x10: 1, 0x35: 8, 0x40: 1, 0x65: 1, 0x68: 1, 0x69: 1, 0x6A: 3, 0x6D: 1, 0x84: 1, 0x8E: 3, 0x96: 8,
    },
    extended={0x10: 1, 0x6B: 1, 0x6C: 1, 0x6E: 1},
)  # fmt: skip

_MEASURED_AT = 1754912384  # 2025-08-11 11:39:44 UTC

SAMPLES = [
    Sample(
        bytes.fromhex("01755F 0367D200 04685B 05FD0700 06FE07020502 07FF01 08F40200 0AEF80D69968"),
        [
            Report(
                DEVICE,
                DIALECT,
                "",
                _MEASURED_AT,
                [
                    ZoneCount(0, "window", None, None, 7),
                    *(ZoneCount(zone, "window", None, None, None, occupied=zone != 2) for zone in (1, 2, 3, 10)),
                    DeviceStatus(
                        {
                            "battery_pct": 95,
                            "temperature_C": 21.0,
                            "humidity_pct": 45.5,
                            "bright": True,
                            "detection_available": True,
                        }
                    ),
                ],
            )
        ],
        "people, regions 1, 2, 3 and 10 in use of which 2 is vacant",
    ),
    Sample(
        bytes.fromhex("0367FFFF 0468FF 84689601 08F40201"),
        [
            Report(
                DEVICE,
                DIALECT,
                "",
                None,
                [
                    DeviceStatus(
                        {
                            "temperature_fault": True,
                            "humidity_fault": True,
                            "humidity_pct": 75.0,
                            "humidity_alarm": "threshold_alarm",
                            "detection_available": False,
                        }
                    )
                ],
            )
        ],
        "broken sensors are no measurements",
    ),
    Sample(
        bytes.fromhex("20CE80D69968 00 0C00 20CE80D69968 01 03000200"),
        [
            Report(
                DEVICE,
                DIALECT,
                "1754912384",
                _MEASURED_AT,
                [
                    ZoneCount(0, "window", None, None, 12),
                    ZoneCount(1, "window", None, None, None, occupied=False),
                    ZoneCount(2, "window", None, None, None, occupied=True),
                ],
                retransmission=True,
                flags=("history",),
            )
        ],
        "two stored records of one moment",
    ),
    Sample(
        bytes.fromhex("05FD0700 06FE00040000"),
        [
            Report(
                DEVICE,
                DIALECT,
                "",
                None,
                [ZoneCount(0, "window", None, None, 7)],
                [Refusal("bad_value", "byte 4", "regions 0400 with occupancy 0000")],
            )
        ],
        "an eleventh region does not exist",
    ),
]
