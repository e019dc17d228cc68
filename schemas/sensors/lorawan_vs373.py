"""VS373 (fall radar) over LoRaWAN: bytes, of firmware 1.0.1 and of 1.0.2. Room state and health, no footfall.

03 F8 / 07 B0 state of the room (1: vacant), of the person, time in use now and today (16 / 24 bit, seconds); 04 F9 occupancy
of regions 1 to 4, a byte each (0 occupied, **1 vacant**); 0A B3 number of regions and a 32-bit mask (1 occupied); 05 FA / 0B
B4, 0C B4 seconds out of bed by region (16 / 24 bit); 06 FB alarm: number (16 bit), event, status, region; 08 B1 breathing
status and rate / 100 a minute; 09 B2 types of regions. 20 CE stored alarms, without a type: they look like stored periods of a
VS13x. Name the model in the device's name or profile if both are about.

Formats: vendor's VS373 user guide; SensorDecoders vs373.
"""

from schemas.events import DeviceStatus, Refusal, Report, ZoneCount
from schemas.sensors._channels import BASIC_3XX, ignore, u16, u24, view_occupied, word
from schemas.sensors._frame import Layout, Reader
from schemas.sensors._record import Record
from schemas.sensors._sample import DEVICE, Sample
from schemas.sensors._vs373_words import PRESENCE, event_name, state_name

DIALECT = "lorawan_vs373"
MODELS = ("VS373",)
ORDER = 38

_ROOM = {0: "normal", 1: "vacant", 2: "in_bed", 3: "out_of_bed", 4: "fall"}
_TARGET = {0: "normal", 1: "motionless", 2: "abnormal", 3: "lying"}
_BREATHING = {1: "no_data", 2: "normal", 3: "fast", 4: "slow", 5: "undetectable"}
_VACANT = 1
REGIONS_MOST = 32


def _room(size: int) -> Reader:
    number = u16 if size == 2 else u24

    def read(record: Record, frame: bytes, at: int) -> None:
        room = _ROOM.get(frame[at])
        if room is None:
            raise ValueError(f"room state {frame[at]} is not known")
        view_occupied(record, frame[at] != _VACANT)
        status = record.status
        status["room_state"] = room
        status["target_state"] = word(_TARGET, frame[at + 1])
        status["use_now_s"] = number(frame, at + 2)
        status["use_today_s"] = number(frame, at + 2 + size)

    return read


def _regions_old(record: Record, frame: bytes, at: int) -> None:
    for region in range(4):
        record.zone(region + 1, "occupied", frame[at + region] != _VACANT)


def _regions(record: Record, frame: bytes, at: int) -> None:
    regions, mask = frame[at], int.from_bytes(frame[at + 1 : at + 5], "little")
    if regions > REGIONS_MOST:
        raise ValueError(f"{regions} regions")
    for region in range(regions):
        record.zone(region + 1, "occupied", mask >> region & 1 == 1)


def _out_of_bed(first: int, regions: int, size: int) -> Reader:
    number = u16 if size == 2 else u24

    def read(record: Record, frame: bytes, at: int) -> None:
        for region in range(regions):
            record.status[f"zone_{first + region}_out_of_bed_s"] = number(frame, at + size * region)

    return read


def _alarm(record: Record, frame: bytes, at: int) -> None:
    event, state = event_name(frame[at + 2]), state_name(frame[at + 3])
    record.status |= {"alarm_id": u16(frame, at), "alarm": event, "alarm_state": state}
    if event in ("out_of_bed", "slow_breathing", "fast_breathing"):
        record.status["alarm_zone"] = frame[at + 4]
    elif event in PRESENCE and state == "raised":
        record.zone(0, "occupied", PRESENCE[event])


def _breathing(record: Record, frame: bytes, at: int) -> None:
    record.status["breathing"] = word(_BREATHING, frame[at])
    if word(_BREATHING, frame[at]) in ("normal", "fast", "slow"):
        record.status["breaths_per_minute"] = u16(frame, at + 1) / 100


LAYOUT = Layout(
    DIALECT,
    MODELS,
    {key: channel for key, channel in BASIC_3XX.items() if key != 0x0175}
    | {
        0x03F8: (6, _room(2)),
        0x07B0: (8, _room(3)),
        0x04F9: (4, _regions_old),
        0x0AB3: (5, _regions),
        0x05FA: (8, _out_of_bed(1, 4, 2)),
        0x0BB4: (9, _out_of_bed(1, 3, 3)),
        0x0CB4: (9, _out_of_bed(4, 3, 3)),
        0x06FB: (5, _alarm),
        0x08B1: (3, _breathing),
        0x09B2: (6, ignore),
    },
    answers={
        0x04: 1, 0x10: 1, 0x11: 4, 0x28: 1, 0x2F: 1, 0x35: 8, 0x3E: 1, 0x40: 1, 0x42: 1, 0x64: 1, 0x69: 1, 0x6A: 3, 0x84: 1,
        0x8E: 3, 0x96: 8,
    },
    extended={
        0x48: 1, 0x49: 9, 0x4A: 5, 0x4B: 9, 0x4C: 5, 0x4D: 1, 0x4E: 1, 0x4F: 12, 0x50: 2, 0x51: 6, 0x52: 3, 0x53: 3, 0x56: 2,
        0x85: 2, 0x86: 1, 0x87: 1, 0x91: 5, 0xB1: 7, 0xB2: 3, 0xB3: 1, 0xB4: 3, 0xB5: 6,
    },
    record=(5, _alarm),
)  # fmt: skip

_STORED_AT = 1754912384  # 2025-08-11 11:39:44 UTC

SAMPLES = [
    Sample(
        bytes.fromhex("03F8 02 01 0A00 1027 04F9 00010101 05FA 0000 3C00 0000 0000"),
        [
            Report(
                DEVICE,
                DIALECT,
                "",
                None,
                [
                    ZoneCount(0, "window", None, None, None, occupied=True),
                    *(ZoneCount(zone, "window", None, None, None, occupied=zone == 1) for zone in (1, 2, 3, 4)),
                    DeviceStatus(
                        {
                            "room_state": "in_bed",
                            "target_state": "motionless",
                            "use_now_s": 10,
                            "use_today_s": 10_000,
                            "zone_1_out_of_bed_s": 0,
                            "zone_2_out_of_bed_s": 60,
                            "zone_3_out_of_bed_s": 0,
                            "zone_4_out_of_bed_s": 0,
                        }
                    ),
                ],
            )
        ],
        "older firmware: 1 means vacant",
    ),
    Sample(
        bytes.fromhex("07B0 01 00 000000 800101 0AB3 02 02000000 0BB4 0A0000 000000 000000 08B1 02 D007 09B2 0001FFFFFFFF"),
        [
            Report(
                DEVICE,
                DIALECT,
                "",
                None,
                [
                    ZoneCount(0, "window", None, None, None, occupied=False),
                    ZoneCount(1, "window", None, None, None, occupied=False),
                    ZoneCount(2, "window", None, None, None, occupied=True),
                    DeviceStatus(
                        {
                            "room_state": "vacant",
                            "target_state": "normal",
                            "use_now_s": 0,
                            "use_today_s": 65_920,
                            "zone_1_out_of_bed_s": 10,
                            "zone_2_out_of_bed_s": 0,
                            "zone_3_out_of_bed_s": 0,
                            "breathing": "normal",
                            "breaths_per_minute": 20.0,
                        }
                    ),
                ],
            )
        ],
        "newer firmware: 1 means occupied, times of 24 bit",
    ),
    Sample(
        bytes.fromhex("06FB 0700 03 01 02 20CE80D69968 0500 00 02 00"),
        [
            Report(
                DEVICE,
                DIALECT,
                "",
                None,
                [DeviceStatus({"alarm_id": 7, "alarm": "out_of_bed", "alarm_state": "raised", "alarm_zone": 2})],
            ),
            Report(
                DEVICE,
                DIALECT,
                "1754912384",
                _STORED_AT,
                [DeviceStatus({"alarm_id": 5, "alarm": "fall", "alarm_state": "resolved"})],
                retransmission=True,
                flags=("history",),
            ),
        ],
        "an alarm, and one stored before",
    ),
    Sample(
        bytes.fromhex("06FB 0700 09 01 00"),
        [Report(DEVICE, DIALECT, "", None, [], [Refusal("bad_value", "byte 0", "event 9 is not known")])],
        "an alarm that nobody knows",
    ),
]
