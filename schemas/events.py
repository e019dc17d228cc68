"""Canonical events: what every sensor's message is decoded into.

Times are whole epoch seconds (UTC). A window is [start, end). `None` means "not measured", never zero.
Counts of people are non-negative. `people_*` includes children and staff; `group_*` counts groups, not people.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import ClassVar, Literal

import msgspec
from xxhash import xxh3_64_intdigest

Kind = Literal["window", "trigger", "total"]


class LineCount(msgspec.Struct, gc=False, tag="line_count"):
    """Crossings of one line.

    `kind`: `window` adds over [start, end); `trigger` is one moment (start == end); `total` is a running counter at `end`
    (never summed, used for checks). `start` and `end` are None when the message says no time (LoRaWAN live frames): ingest
    then takes (t - expected interval, t] with t = `Report.time` or the arrival.
    """

    section: ClassVar[str] = "line"
    line: int
    kind: Kind
    start: int | None
    end: int | None
    people_in: int
    people_out: int
    child_in: int | None = None
    child_out: int | None = None
    staff_in: int | None = None
    staff_out: int | None = None
    group_in: int | None = None
    group_out: int | None = None


class ZoneCount(msgspec.Struct, gc=False, tag="zone_count"):
    """People present in a zone (zone 0: the whole view) at `end`; `peak` is the highest number within [start, end)."""

    section: ClassVar[str] = "zone"
    zone: int
    kind: Kind
    start: int | None
    end: int | None
    present: int | None
    peak: int | None = None
    child: int | None = None
    staff: int | None = None
    occupied: bool | None = None


class Stay(msgspec.Struct, gc=False, tag="stay"):
    """One finished stay in a zone. `track` is a short-lived number of the device, not an identity."""

    section: ClassVar[str] = "stay"
    zone: int
    start: int | None
    end: int | None
    dwell_s: float
    track: int | None = None
    child: bool | None = None
    staff: bool | None = None


class DwellSummary(msgspec.Struct, gc=False, tag="dwell_summary"):
    """Average and longest dwell of a zone (zone 0: all zones) over a window; not additive. `child`: children only."""

    section: ClassVar[str] = "dwell"
    zone: int
    start: int | None
    end: int | None
    avg_s: float
    max_s: float
    child: bool = False


class FlowMatrix(msgspec.Struct, gc=False, tag="flow_matrix"):
    """People that went from edge to edge of a polygon over a window, as {"A-B": n}."""

    section: ClassVar[str] = "flow"
    start: int | None
    end: int | None
    cells: dict[str, int]


class DeviceStatus(msgspec.Struct, gc=False, tag="device_status"):
    """Health of a device: whatever it says of itself, numbers and short texts by name (units in the name)."""

    section: ClassVar[str] = "status"
    fields: dict[str, float | int | str | bool]


class Heat(msgspec.Struct, gc=False, tag="heat"):
    """Heat over [start, end): unitless, of the device's own scale. `cells`: sparse (x, y, value) on a grid `columns` x `rows`
    (None: not stated); or `value` for one zone (0: whole view).
    """

    section: ClassVar[str] = "heat"
    zone: int
    start: int | None
    end: int | None
    value: float | None = None
    cells: list[tuple[int, int, float]] = []
    columns: int | None = None
    rows: int | None = None


class QueueLength(msgspec.Struct, gc=False, tag="queue_length"):
    """People waiting in a queue at `end`; where the device knows them: wait of who was served last (s), people served within
    [start, end), lanes open.
    """

    section: ClassVar[str] = "queue"
    zone: int
    start: int | None
    end: int | None
    length: int
    wait_s: float | None = None
    served: int | None = None
    lanes_open: int | None = None


class Demographics(msgspec.Struct, gc=False, tag="demographics"):
    """People by class over [start, end), of a line or a zone (the other is None): `groups` = {"gender:female": 3,
    "age:18-30": 2, "class:child": 1}. Aggregates only.
    """

    section: ClassVar[str] = "people"
    line: int | None
    zone: int | None
    start: int | None
    end: int | None
    groups: dict[str, int]


class Detection(msgspec.Struct, gc=False, tag="detection"):
    """Something that video analytics saw: `what` = security incident | product interaction | display dwell | sentiment (snake
    case), `label` (the vendor's word), `confidence` 0..1, a link and never an image.
    """

    section: ClassVar[str] = "detection"
    what: str
    start: int | None
    end: int | None
    zone: int | None = None
    camera: str = ""
    label: str = ""
    confidence: float | None = None
    value: float | None = None
    link: str = ""


Event = LineCount | ZoneCount | Stay | DwellSummary | FlowMatrix | Heat | QueueLength | Demographics | Detection | DeviceStatus


class Refusal(msgspec.Struct, gc=False):
    """A part of a message that is not used: a short stable `reason` (counted), `where` (JSON path or byte) and `detail`."""

    reason: str
    where: str = ""
    detail: str = ""


class Report(msgspec.Struct, gc=False):
    """One decoded message of one device.

    `device`: serial number or devEUI, lower case. `time_text`: the device time exactly as sent ("" when the message has
    none); it and never the arrival goes into the ids. `time`: device instant in epoch seconds (end of the window), or None.
    `dst_added_s`: seconds that the decoder added to the zone because of a DST flag (a registry setting can take them back).
    `frame`: for LoRaWAN "fCnt:hex bytes", which then identify the message instead of time and values.
    `refusals`: bad parts; with no events at all the whole message is refused.
    """

    device: str
    dialect: str
    time_text: str
    time: int | None
    events: list[Event]
    refusals: list[Refusal] = []
    site_claim: str | None = None
    name: str | None = None
    firmware: str | None = None
    running_time: int | None = None
    retransmission: bool = False
    dst_added_s: int = 0
    frame: str | None = None
    flags: tuple[str, ...] = ()


class Plain(msgspec.Struct, gc=False):
    """A plain report, in short: what nearly every message is, as a lane that reads tens of thousands a second wants it.

    Every line says people in and out over one and the same window [start, end) that the device stated; no classes, nothing
    else in the message, nothing refused, not sent again by the device. `lines`: their numbers, ascending; `counts`: people in
    and out of the first one, of the second one, and so on. The rest as in `Report`; `report()` says the same at length.

    What the lane adds: the store, the arrival (the log's timestamp, epoch ms), the record that it came in and the batch
    that brought it (`place` and `stamp` as in `operators.memory`).
    """

    device: str
    dialect: str
    time_text: str
    start: int
    end: int
    lines: tuple[int, ...]
    counts: tuple[int, ...]
    site_claim: str | None = None
    name: str | None = None
    firmware: str | None = None
    running_time: int | None = None
    site: str = ""
    arrival: int = 0
    place: int = 0
    stamp: int = 0

    def report(self) -> Report:
        """The same as a report."""
        start, end, counts = self.start, self.end, self.counts
        events: list[Event] = [
            LineCount(line, "window", start, end, into, out)
            for line, into, out in zip(self.lines, counts[::2], counts[1::2], strict=True)
        ]
        claim, name, firmware = self.site_claim, self.name, self.firmware
        return Report(self.device, self.dialect, self.time_text, end, events, [], claim, name, firmware, self.running_time)

    def ids(self) -> list[int]:
        """`event_id` of every line."""
        return plain_ids(self.device, self.time_text, self.lines, self.counts)


def plain_ids(device: str, time_text: str, lines: tuple[int, ...], counts: tuple[int, ...]) -> list[int]:
    """`event_id` of every line of a plain report."""
    head = f"{device}|line|{time_text}|".encode()
    return [xxh3_64_intdigest(head + tail) for tail in _plain_tails(lines, counts)]


def ids_of(reports: Iterable[Plain]) -> list[int]:
    """`event_id` of every line of many plain reports, in order."""
    found = []
    for report in reports:
        head = f"{report.device}|line|{report.time_text}|".encode()
        for tail in _plain_tails(report.lines, report.counts):
            found.append(xxh3_64_intdigest(head + tail))  # a comprehension would make the head twice
    return found


@lru_cache(1 << 15)
def _plain_tails(lines: tuple[int, ...], counts: tuple[int, ...]) -> list[bytes]:
    """What the ids of plain lines are made of after the time. The same few numbers come again and again."""
    return [
        f"{index}|{line}|window|{into}|{out}|None|None|None|None|None|None|".encode()
        for index, (line, into, out) in enumerate(zip(lines, counts[::2], counts[1::2], strict=True))
    ]


def event_id(report: Report, event: Event, index: int, salt: str = "") -> int:
    """Identity of one event of a message: 64 bits, the same whenever and however often the message comes.

    Hash of device, section, line or zone, kind, device time exactly as sent, index within the message and values; for LoRaWAN
    of (devEUI, fCnt, bytes, index). Never the arrival, never the chosen event time. `salt` carries the running time (or the
    arrival's interval) of a device whose clock is judged bad, and is empty otherwise. Numbers of people by class are left out.
    """
    if report.frame is not None:
        return xxh3_64_intdigest(f"{report.device}|{event.section}|{report.frame}|{index}|{salt}".encode())
    if type(event) is LineCount:  # the same text in one go: this runs for every event of the log
        e = event
        return xxh3_64_intdigest(
            f"{report.device}|line|{report.time_text}|{index}|{e.line}|{e.kind}|{e.people_in}|{e.people_out}|{e.child_in}"
            f"|{e.child_out}|{e.staff_in}|{e.staff_out}|{e.group_in}|{e.group_out}|{salt}".encode()
        )
    if type(event) is Demographics:  # an id of few people by class would tell them to whoever tries all of them
        event = msgspec.structs.replace(event, groups={})
    values = msgspec.json.encode(event, order="deterministic").decode()
    return xxh3_64_intdigest(f"{report.device}|{event.section}|{report.time_text}|{index}|{values}|{salt}".encode())
