"""The site registry: stores, devices, lines and zones, opening hours, capacity. Shapes only; `infra/registry.py` loads it.

A registry is TOML, one file per store. Times of day are wall-clock times of the store's IANA zone.
"""

from collections.abc import Mapping
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

Role = Literal["entrance", "inner", "outside", "department", "checkout", "service"]
Source = Literal["window", "trigger"]
UNASSIGNED = "unassigned/"
OVERFLOW = "unassigned/overflow"


class Line(msgspec.Struct, frozen=True):
    """One counting line. `swap`: in and out are exchanged (mounting). `counting`: which kind counts; the others check it.

    `queue`: number of the zone with role `checkout` that a line with role `checkout` leads into and one with role `service` out
    of; None: the only such zone of the device.
    """

    number: int
    name: str = ""
    role: Role = "entrance"
    swap: bool = False
    counting: Source | None = None
    queue: int | None = None


class Zone(msgspec.Struct, frozen=True):
    """One zone of a device. `capacity`: people, None for no limit. `queue`: of a zone with role `service`, as in `Line`.
    `shape`: id of its shape in the store's floor plan."""

    number: int
    name: str = ""
    role: Role = "department"
    capacity: int | None = None
    queue: int | None = None
    shape: str = ""


class Device(msgspec.Struct, frozen=True):
    """One sensor. `interval_s`: expected report interval. `counting`: default source for its lines.

    `clock`: `auto` trusts the device's clock until it is absurd or stands still; `device` always; `arrival` never.
    `dst`: `add` adds an hour to the zone when a message without offset says that DST is in force, `included` does not.
    `trigger`: whether trigger values are single increments or running counters, which are kept as totals. `since`: epoch
    seconds from which the entry holds (None: always). `camera`: URL of a network camera that is polled, without a login;
    `camera_queries`: what it is asked for; `camera_zone`: IANA zone of its clock ("": that of the store).
    """

    id: str
    name: str = ""
    model: str = ""
    lines: Mapping[int, Line] = {}
    zones: Mapping[int, Zone] = {}
    interval_s: int = 60
    counting: Source = "window"
    clock: Literal["auto", "device", "arrival"] = "auto"
    dst: Literal["add", "included"] = "add"
    trigger: Literal["increment", "counter"] = "increment"
    swap: bool = False
    since: int | None = None
    camera: str = ""
    camera_queries: tuple[str, ...] = ()
    camera_zone: str = ""

    def line(self, number: int) -> Line:
        """The line of that number; one that nobody declared counts as an entrance."""
        found = self.lines.get(number)
        return found if found is not None else Line(number, f"Line {number}")

    def queue_of(self, part: Line | Zone) -> int:
        """The queue to which a line or zone belongs; 0 when nobody says which of several it is."""
        if part.queue is not None:
            return part.queue
        queues = [z.number for z in self.zones.values() if z.role == "checkout"]
        return queues[0] if len(queues) == 1 else 0

    def swapped(self, number: int) -> bool:
        return self.swap != self.line(number).swap

    def source(self, number: int) -> Source:
        return self.line(number).counting or self.counting


class Site(msgspec.Struct, frozen=True):
    """One store. `hours`: per weekday ("mon".."sun") a list of (open, close) minutes of the civil day; close may exceed 1440
    (past midnight). `exceptions`: ISO date -> the list for that day (empty: closed). `reset_minute`: minute of the civil day at
    which the store is known to be empty. None for `hours` means open all the time. `plan`: path of its floor plan (SVG).
    `demographics`: people by class may be kept (docs/architecture.md, "Safety"). `unusual_a_month`: how often usual traffic may
    be called unusual, a month.
    """

    id: str
    name: str
    zone: str
    country: str = ""
    capacity_operational: int | None = None
    capacity_legal: int | None = None
    reset_minute: int = 240
    hours: Mapping[str, tuple[tuple[int, int], ...]] | None = None
    exceptions: Mapping[str, tuple[tuple[int, int], ...]] = {}
    devices: Mapping[str, Device] = {}
    demographics: bool = False
    plan: str = ""
    unusual_a_month: int = 4

    def entry(self, device: str) -> Device:
        """The device of that id; one that nobody declared has the defaults."""
        found = self.devices.get(device)
        return found if found is not None else Device(id=device, name=device)

    @property
    def tz(self) -> ZoneInfo:
        return ZoneInfo(self.zone)


class Registry(msgspec.Struct):
    """All stores. Devices that nobody assigned get a store of their own, `unassigned/<device>`, in `default_zone`."""

    sites: dict[str, Site] = {}
    default_zone: str = "UTC"
    unassigned_most: int = 10_000
    places: dict[str, list[tuple[int, str, Device]]] = {}
    unassigned: dict[str, tuple[Site, Device]] = {}

    def __post_init__(self) -> None:
        for site in self.sites.values():
            for device in site.devices.values():
                self.places.setdefault(device.id, []).append((device.since or 0, site.id, device))
        for entries in self.places.values():
            entries.sort(key=lambda e: e[0], reverse=True)

    def find(self, device: str, arrival_s: float) -> tuple[Site, Device]:
        """Store and entry of a device for a message that arrived then."""
        for since, site, entry in self.places.get(device, ()):
            if arrival_s >= since:
                return self.sites[site], entry
        return self._unassigned(device)

    def stays(self, device: str) -> bool:
        """Whether `find` answers the same for a device whenever its message arrived."""
        entries = self.places.get(device)
        return device in self.unassigned if entries is None else len(entries) == 1 and not entries[0][0]

    def _unassigned(self, device: str) -> tuple[Site, Device]:
        found = self.unassigned.get(device)
        if found is None:
            full = len(self.unassigned) >= self.unassigned_most
            site_id = OVERFLOW if full else UNASSIGNED + device
            found = Site(id=site_id, name=device, zone=self.default_zone), Device(id=device, name=device)
            if not full:
                self.unassigned[device] = found
        return found

    def site(self, site_id: str) -> Site:
        """The store of that id; for `unassigned/...` one with the default zone."""
        found = self.sites.get(site_id)
        if found is None:
            device = site_id.removeprefix(UNASSIGNED)
            found = Site(id=site_id, name=device, zone=self.default_zone)
        return found
