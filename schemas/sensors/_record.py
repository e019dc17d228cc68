"""What a LoRaWAN frame, or a codec's object of one, says; quantities that only together make an event wait here."""

from collections.abc import Iterable, Mapping
from typing import cast

import msgspec

from schemas.events import DeviceStatus, DwellSummary, Event, FlowMatrix, Kind, LineCount, ZoneCount

Line = tuple[Kind, int]
Status = dict[str, float | int | str | bool]

MISSING = cast(int, None)
"""In or out of a line that is not known yet."""
_COUNTS = ("people_in", "people_out", "child_in", "child_out", "staff_in", "staff_out")


class Record(msgspec.Struct, gc=False):
    """One report: the live one, or one stored moment. The first value of a quantity stands; another one in the same frame is
    noted in `repeated`. `time`: when it was measured (epoch s), if it says so."""

    time: int | None = None
    lines: dict[Line, LineCount] = {}
    """Also of lines of which only in or out, or only a class, is known so far."""
    zones: dict[int, ZoneCount] = {}
    dwell: dict[tuple[int, bool], dict[str, int]] = {}
    cells: dict[str, int] = {}
    status: Status = {}
    repeated: list[str] = []

    def part(self, line: Line, values: Iterable[tuple[str, int]]) -> None:
        """Some of the counts of a line, by the names of `LineCount`."""
        found = self.lines.get(line)
        if found is None:
            found = self.lines[line] = LineCount(line[1], line[0], None, None, MISSING, MISSING)
        for name, value in values:
            known = getattr(found, name)
            if known is None:
                setattr(found, name, value)
            elif known != value:
                self.repeated.append(f"line {line[1]} {line[0]} {name}")

    def zone(self, zone: int, field: str, value: int | bool) -> None:
        """`present`, `peak`, `child`, `staff` or `occupied` of a zone (0: the whole view)."""
        found = self.zones.get(zone)
        if found is None:
            found = self.zones[zone] = ZoneCount(zone, "window", None, None, None)
            setattr(found, field, value)
            return
        known = getattr(found, field)
        if known is None:
            self.zones[zone] = found = msgspec.structs.replace(found)  # a reader may have shared it with other records
            setattr(found, field, value)
        elif known != value:
            self.repeated.append(f"zone {zone} {field}")

    def present(self, zone: int, people: int) -> None:
        """People present in a zone (0: the whole view)."""
        if zone in self.zones:
            self.zone(zone, "present", people)
        else:
            self.zones[zone] = ZoneCount(zone, "window", None, None, people)

    def zones_once(self, said: Mapping[int, ZoneCount]) -> bool:
        """What is known of several zones at once, if nothing else is known of any; else False. The events may be shared."""
        if self.zones and not self.zones.keys().isdisjoint(said):
            return False
        self.zones.update(said)
        return True

    def dwelt(self, zone: int, child: bool, **values: int) -> None:
        """`avg_s`, `max_s` of a zone (0: all zones)."""
        found = self.dwell.setdefault((zone, child), {})
        for name, value in values.items():
            if found.setdefault(name, value) != value:
                self.repeated.append(f"dwell {zone} {name}")

    def events(self) -> list[Event]:
        """Events without times: the report's time is the end of their window. Halves of an event become status figures."""
        found: list[Event] = []
        status = self.status
        for line, counts in self.lines.items() if self.lines else ():
            if counts.people_in is not None and counts.people_out is not None:
                found.append(counts)
            else:
                status = status | _half(line, counts)
        if self.zones:
            found += self.zones.values()
        if self.dwell:
            for (zone, child), dwell in self.dwell.items():
                if len(dwell) == 2:
                    found.append(DwellSummary(zone, None, None, float(dwell["avg_s"]), float(dwell["max_s"]), child))
                else:
                    status = status | {f"zone_{zone}{'_child' if child else ''}_dwell_{name}": n for name, n in dwell.items()}
        if self.cells:
            found.append(FlowMatrix(None, None, self.cells))
        if status:
            found.append(DeviceStatus(status))
        return found


def _half(line: Line, counts: LineCount) -> Status:
    said = ((name, getattr(counts, name)) for name in _COUNTS)
    return {f"line_{line[1]}_{line[0]}_{name}": value for name, value in said if value is not None}
