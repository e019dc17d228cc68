"""What a LoRaWAN frame, or a codec's object of one, says; quantities that only together make an event wait here."""

from collections.abc import Mapping

from schemas.events import DeviceStatus, DwellSummary, Event, FlowMatrix, Kind, LineCount, ZoneCount

Line = tuple[Kind, int]
Status = dict[str, float | int | str | bool]


class Record:
    """One report: the live one, or one stored moment. The first value of a quantity stands; another one in the same frame is
    noted in `repeated`. `time`: when it was measured (epoch s), if it says so."""

    __slots__ = ("cells", "dwell", "lines", "repeated", "status", "time", "zones")

    def __init__(self, time: int | None = None) -> None:
        self.time = time
        self.lines: dict[Line, LineCount | dict[str, int]] = {}
        """A line whose in and out are known, or what is known so far of one that is not."""
        self.zones: dict[int, ZoneCount] = {}
        self.dwell: dict[tuple[int, bool], dict[str, int]] = {}
        self.cells: dict[str, int] = {}
        self.status: Status = {}
        self.repeated: list[str] = []

    def people(self, line: Line, into: int, out: int) -> None:
        """People in and out of a line, both at once."""
        if line in self.lines:
            self.part(line, {"people_in": into, "people_out": out})
        else:
            self.lines[line] = LineCount(line[1], line[0], None, None, into, out)

    def part(self, line: Line, values: Mapping[str, int]) -> None:
        """Some of the counts of a line, by the names of `LineCount`."""
        found = self.lines.get(line)
        if found is None:
            self.lines[line] = dict(values)
        elif isinstance(found, dict):
            for name, value in values.items():
                self._same(found.setdefault(name, value), value, line, name)
        else:
            for name, value in values.items():
                known = getattr(found, name)
                if known is None:
                    setattr(found, name, value)
                else:
                    self._same(known, value, line, name)

    def _same(self, known: int, value: int, line: Line, name: str) -> None:
        if known != value:
            self.repeated.append(f"line {line[1]} {line[0]} {name}")

    def zone(self, zone: int, field: str, value: int | bool) -> None:
        """`present`, `peak`, `child` or `occupied` of a zone (0: the whole view)."""
        found = self.zones.get(zone)
        if found is None:
            found = self.zones[zone] = ZoneCount(zone, "window", None, None, None)
        known = getattr(found, field)
        if known is None:
            setattr(found, field, value)
        elif known != value:
            self.repeated.append(f"zone {zone} {field}")

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
        for line, counts in self.lines.items():
            if not isinstance(counts, dict):
                found.append(counts)
            elif "people_in" in counts and "people_out" in counts:
                found.append(LineCount(line[1], line[0], None, None, **counts))
            else:
                status = status | {f"line_{line[1]}_{line[0]}_{name}": value for name, value in counts.items()}
        found += self.zones.values()
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
