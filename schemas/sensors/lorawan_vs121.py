"""VS121 over LoRaWAN: bytes.

04 C9 people present, number of regions, occupancy mask (16 bit **big-endian**, bit 0 = region 1); 05 CC period in and out
(taken as unsigned; becomes line 1); 06 CD peak; 07 D5 and 08 D5 people in regions 1 to 8 and 9 to 16; 09..0C DA flow rows A
to D; 0D CC running totals, 16 bit: they wrap at 65535; 0E E4 region (0: all), average and longest dwell in seconds; 0F 85
measurement time; 10 F7 line trigger; 20 CE stored records with types of their own.

Formats: vendor's "VS121 uplink data" page; SensorDecoders vs121 (line trigger from firmware 7.0.85).
"""

from functools import lru_cache

from schemas.events import DeviceStatus, DwellSummary, FlowMatrix, LineCount, Refusal, Report, ZoneCount
from schemas.sensors._channels import BASIC, dwell_pair, line_pair, measured_at, u16, zone_bytes
from schemas.sensors._frame import Channel, Layout, Reader
from schemas.sensors._record import Record
from schemas.sensors._sample import DEVICE, Sample

DIALECT = "lorawan_vs121"
MODELS = ("VS121",)
ORDER = 31

REGIONS_MOST = 16


def _present(record: Record, frame: bytes, at: int) -> None:
    regions, mask = frame[at + 1], frame[at + 2] << 8 | frame[at + 3]
    if regions > REGIONS_MOST or mask >> regions:
        raise ValueError(f"{regions} regions with occupancy mask {mask:04x}")
    if not record.zones:
        zones = record.zones = _occupied(regions, mask).copy()
        zones[0] = ZoneCount(0, "window", None, None, frame[at])
        return
    record.zone(0, "present", frame[at])
    for zone in range(1, regions + 1):
        record.zone(zone, "occupied", mask >> (zone - 1) & 1 == 1)


@lru_cache(4096)
def _occupied(regions: int, mask: int) -> dict[int, ZoneCount]:
    """What the mask says, by region, after a place for the whole view. The same few masks come again and again, and making 16
    events takes long."""
    found = {0: ZoneCount(0, "window", None, None, None)}
    return found | {n + 1: ZoneCount(n + 1, "window", None, None, None, occupied=mask >> n & 1 == 1) for n in range(regions)}


def _peak(record: Record, frame: bytes, at: int) -> None:
    view = record.zones.get(0)
    if view is not None and view.peak is None:
        view.peak = frame[at]
    else:
        record.zone(0, "peak", frame[at])


def _serial(record: Record, frame: bytes, at: int) -> None:
    """All of the value, which is longer from newer firmware (see `_frame`)."""
    record.status["serial"] = frame[at:].hex()


def _flow(*cells: str) -> Reader:
    def read(record: Record, frame: bytes, at: int) -> None:
        for number, cell in enumerate(cells):
            record.cells[cell] = u16(frame, at + 2 * number)

    return read


def _flow_rows() -> dict[int, Channel]:
    return {(0x09 + n) << 8 | 0xDA: (8, _flow(*(f"{row}-{to}" for to in "ABCD"))) for n, row in enumerate("ABCD")}


def _flow_history() -> dict[int, Channel]:
    pairs = [(row, to) for row in "ABCD" for to in ("AB", "CD")]
    return {0x08 + n: (4, _flow(*(f"{row}-{edge}" for edge in to))) for n, (row, to) in enumerate(pairs)}


LAYOUT = Layout(
    DIALECT,
    MODELS,
    BASIC
    | _flow_rows()
    | {
        0xFF08: (6, _serial),
        0x04C9: (4, _present),
        0x05CC: (4, line_pair("window", 1)),
        0x06CD: (1, _peak),
        0x07D5: (8, zone_bytes(1, 8)),
        0x08D5: (8, zone_bytes(9, 8)),
        0x0DCC: (4, line_pair("total", 1)),
        0x0EE4: (5, dwell_pair()),
        0x0F85: (4, measured_at),
        0x10F7: (4, line_pair("trigger", 1)),
    },
    _flow_history()
    | {
        0x01: (4, _present),
        0x02: (4, line_pair("window", 1)),
        0x03: (1, _peak),
        0x04: (4, zone_bytes(1, 4)),
        0x05: (4, zone_bytes(5, 4)),
        0x06: (4, zone_bytes(9, 4)),
        0x07: (4, zone_bytes(13, 4)),
        0x10: (4, line_pair("total", 1)),
        0x11: (5, dwell_pair()),
        0x12: (4, line_pair("trigger", 1)),
    },
    answers={
        0x03: 3, 0x04: 1, 0x05: 3, 0x10: 1, 0x11: 4, 0x35: 8, 0x40: 1, 0x41: 1, 0x42: 1, 0x43: 1, 0x44: 1, 0x45: 1, 0x46: 3,
        0x48: 1, 0x50: 1, 0x51: 1, 0x69: 1, 0x6A: 3, 0x84: 1,
    },
    extended={
        0x10: 1, 0x11: 1, 0x3D: 1, 0x85: 2, 0x86: 1, 0x87: 1, 0x88: 2, 0x89: 2, 0x8B: 1, 0x8C: 1, 0x8D: 4, 0x8E: 4, 0x90: 6,
        0x91: 5, 0x92: 3, 0x93: 1, 0x94: 1, 0x95: 6, 0x96: 3, 0x97: 2, 0x98: 1, 0x99: 7, 0xB7: 3, 0xBA: 1, 0xCD: 1, 0xCF: 1,
        0xD0: 1, 0xD1: 1, 0xD2: 1, 0xD3: 1, 0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 7, 0xD8: 1, 0xDC: 1, 0xDD: 1,
    },
)  # fmt: skip


_MEASURED_AT = 1754912384  # 2025-08-11 11:39:44 UTC

SAMPLES = [
    Sample(
        bytes.fromhex("04C903030005 06CD05 05CCFFFF0100 0F8580D69968"),
        [
            Report(
                DEVICE,
                DIALECT,
                "",
                _MEASURED_AT,
                [
                    LineCount(1, "window", None, None, 65535, 1),
                    ZoneCount(0, "window", None, None, 3, 5),
                    *(ZoneCount(zone, "window", None, None, None, occupied=zone != 2) for zone in (1, 2, 3)),
                ],
            )
        ],
        "present, occupancy mask (regions 1 and 3), peak, period read as unsigned, measurement time",
    ),
    Sample(
        bytes.fromhex("09DA0001000200000000 0DCC2C010E01 10F701000000 0EE4 00 0A00 1E00"),
        [
            Report(
                DEVICE,
                DIALECT,
                "",
                None,
                [
                    LineCount(1, "total", None, None, 300, 270),
                    LineCount(1, "trigger", None, None, 1, 0),
                    DwellSummary(0, None, None, 10.0, 30.0),
                    FlowMatrix(None, None, {"A-A": 256, "A-B": 512, "A-C": 0, "A-D": 0}),
                ],
            )
        ],
        "one flow row, totals, line trigger, dwell of all regions",
    ),
    Sample(
        bytes.fromhex("FF0101 FF086600B0000001 FF090100 FF1F1F07004B"),
        [
            Report(
                DEVICE,
                DIALECT,
                "",
                None,
                [
                    DeviceStatus(
                        {
                            "protocol_version": 1,
                            "serial": "6600b0000001",
                            "hardware_version": "1.0",
                            "firmware_version": "31.7.0.75",
                        }
                    )
                ],
                firmware="31.7.0.75",
            )
        ],
        "what a device says of itself on joining",
    ),
    Sample(
        bytes.fromhex("20CE80D69968 02 09000400 20CE00000000 02 01000100"),
        [
            Report(
                DEVICE,
                DIALECT,
                str(_MEASURED_AT),
                _MEASURED_AT,
                [LineCount(1, "window", None, None, 9, 4)],
                retransmission=True,
                flags=("history",),
            ),
            Report(
                DEVICE,
                DIALECT,
                "0",
                0,
                [],
                [Refusal("bad_time", "history", "stored at 0: the clock was not set")],
                retransmission=True,
                flags=("history",),
            ),
        ],
        "stored periods; one of a device whose clock was never set",
    ),
    Sample(
        bytes.fromhex("06CD05 077D9001 05CC01000100"),
        [
            Report(
                DEVICE,
                "",
                "",
                None,
                [],
                [Refusal("unsupported_model", "byte 3", "channel 07 7d belongs to another product")],
            )
        ],
        "CO2 of an ambience sensor: channels that look like ours before it are not ours",
    ),
]
