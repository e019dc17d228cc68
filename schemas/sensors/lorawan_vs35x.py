"""VS350 and VS351 passage counters over LoRaWAN: bytes. One pair of in and out, reported as line 1.

04 CC running totals, 05 CC what came since the report before, both 16 bit (totals wrap at 65535 and run until they are
cleared); 84 CC and 85 CC the same with an alarm byte: they count like any other. 03 67 temperature in 0.1 C, 83 67 with an
alarm byte; 0A EF measurement time; 81 EE sensitivity; 01 75 battery in percent. 20 CE stored records: type 0 a period, type 1
a period and the totals.

Formats: vendor's VS350 and VS351 user guides; SensorDecoders vs350, vs351.
"""

from schemas.events import DeviceStatus, LineCount, Refusal, Report
from schemas.sensors._channels import BASIC_3XX, ignore, line_alarm, line_pair, measured_at, temperature, temperature_alarm
from schemas.sensors._frame import Channel, Layout
from schemas.sensors._record import Record
from schemas.sensors._sample import DEVICE, Sample

DIALECT = "lorawan_vs35x"
MODELS = ("VS350", "VS351")
ORDER = 32

_PERIOD, _TOTAL = line_pair("window", 1), line_pair("total", 1)


def _stored(record: Record, frame: bytes, at: int) -> None:
    """A stored record of a VS321 has two bytes less: the mark of the next one is no number of people."""
    if frame[at + 2 : at + 4] == b"\x20\xce":
        raise ValueError("the next stored record stands in the value")
    _PERIOD(record, frame, at)


def _both(record: Record, frame: bytes, at: int) -> None:
    _PERIOD(record, frame, at)
    _TOTAL(record, frame, at + 4)


def _sensitivity(record: Record, frame: bytes, at: int) -> None:
    record.status["sensitivity"] = frame[at]


COUNTS: dict[int, Channel] = {
    0x04CC: (4, _TOTAL),
    0x05CC: (4, _PERIOD),
    0x84CC: (5, line_alarm("total", 1)),
    0x85CC: (5, line_alarm("window", 1)),
    0x0AEF: (4, measured_at),
}
"""What all passage counters with one pair send; also of the VS360."""
STORED: dict[int, Channel] = {0x00: (4, _stored), 0x01: (8, _both)}

LAYOUT = Layout(
    DIALECT,
    MODELS,
    BASIC_3XX
    | COUNTS
    | {
        0x0367: (2, temperature),
        0x8367: (3, temperature_alarm),
        0x81EE: (1, _sensitivity),
        0xFFCC: (1, ignore),
    },
    STORED,
    answers={
        0x04: 1, 0x05: 3, 0x06: 9, 0x10: 1, 0x27: 1, 0x28: 1, 0x35: 8, 0x40: 1, 0x41: 1, 0x4A: 1, 0x68: 1, 0x69: 1, 0x6A: 3,
        0x6B: 1, 0x6D: 1, 0x75: 6, 0x77: 2, 0x84: 1, 0x8E: 3, 0x8F: 2, 0x96: 8, 0x97: 1, 0xA6: 1, 0xA7: 2, 0xA8: 1, 0xA9: 1,
        0xAA: 1, 0xAB: 3, 0xAC: 4, 0xAD: 1, 0xBD: 2, 0xEC: 1, 0xED: 3, 0xEF: 3,
    },
    extended={0x10: 1, 0x85: 2, 0x86: 1, 0x87: 1, 0x8B: 1, 0x8C: 1, 0x8D: 4, 0xA2: 1, 0xA3: 1},
)  # fmt: skip

_MEASURED_AT = 1754912384  # 2025-08-11 11:39:44 UTC

SAMPLES = [
    Sample(
        bytes.fromhex("0AEF80D69968 81EE43 05CC05000400 04CCFFFF0100 0367FBFF 017564"),
        [
            Report(
                DEVICE,
                DIALECT,
                "",
                _MEASURED_AT,
                [
                    LineCount(1, "window", None, None, 5, 4),
                    LineCount(1, "total", None, None, 65535, 1),
                    DeviceStatus({"sensitivity": 67, "temperature_C": -0.5, "battery_pct": 100}),
                ],
            )
        ],
        "measurement time, period and totals as unsigned numbers, half a degree of frost",
    ),
    Sample(
        bytes.fromhex("84CC2C010E0101 85CC0900070000 83672C0103 FE8E003C00"),
        [
            Report(
                DEVICE,
                DIALECT,
                "",
                None,
                [
                    LineCount(1, "total", None, None, 300, 270),
                    LineCount(1, "window", None, None, 9, 7),
                    DeviceStatus(
                        {
                            "total_count_alarm": "threshold_alarm",
                            "period_count_alarm": "threshold_alarm_release",
                            "temperature_C": 30.0,
                            "temperature_alarm": "high_temperature_alarm",
                        }
                    ),
                ],
            )
        ],
        "alarms carry the counts; an answer to a downlink behind them is no measurement",
    ),
    Sample(
        bytes.fromhex("20CE80D69968 00 0B000400 20CEBCD69968 01 0700 0200 1D00 0800"),
        [
            Report(
                DEVICE,
                DIALECT,
                "1754912384",
                _MEASURED_AT,
                [LineCount(1, "window", None, None, 11, 4)],
                retransmission=True,
                flags=("history",),
            ),
            Report(
                DEVICE,
                DIALECT,
                "1754912444",
                _MEASURED_AT + 60,
                [LineCount(1, "window", None, None, 7, 2), LineCount(1, "total", None, None, 29, 8)],
                retransmission=True,
                flags=("history",),
            ),
        ],
        "stored records with and without totals",
    ),
    Sample(
        bytes.fromhex("FF0A0103 FF090310 05CC01000100 04CC0000"),
        [
            Report(
                DEVICE,
                DIALECT,
                "",
                None,
                [
                    LineCount(1, "window", None, None, 1, 1),
                    DeviceStatus({"firmware_version": "1.3", "hardware_version": "3.1"}),
                ],
                [Refusal("truncated_frame", "byte 14", "channel 04 cc needs 4 bytes, has 2")],
                firmware="1.3",
            )
        ],
        "a frame that ends within a value: what came before it stands",
    ),
]
