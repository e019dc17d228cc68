"""Health of the devices of one store by civil hour: what they say of themselves, and what their reports show.

Messages count where they arrived, covered minutes where they belong. A device that has said nothing has an hour all the same.
"""

import msgspec

from operators.calendar import bucket
from operators.cells import Key, Pending
from operators.ingest import Accepted, Arrival
from operators.moment import FOREVER
from operators.spread import MINUTE
from schemas.events import DeviceStatus, Plain, Stay
from schemas.sites import Device, Site

REMEMBERED_S = 7 * 86_400
"""A device that nobody declared and that has been silent for longer has no more hours."""
MOST_FIELDS = 100
"""Different things that a device may say of itself in an hour."""

Value = float | int | str | bool


class Health(msgspec.Struct, array_like=True):
    """One device in one hour. `covered`: bitmap of its minutes; None where nothing of the kind was said. `skew`, `rssi`, `snr`:
    lists of (lowest, highest) or (sum, number)."""

    messages: int = 0
    covered: int | None = None
    last_seen: int | None = None
    skew: list[int] = []
    reboots: int | None = None
    firmware: str = ""
    battery: float | None = None
    temperature: float | None = None
    pitch: float | None = None
    roll: float | None = None
    rssi: list[float] = []
    snr: list[float] = []
    occluded: bool | None = None
    said: dict[str, Value] = {}
    n: int = 0
    known: int = 0


class Running(msgspec.Struct, array_like=True):
    """What is remembered of a device: beginning of what it reported first, newest arrival (epoch s), newest device time and
    its running time."""

    first: int
    last: int
    time: int = 0
    running: int = -1
    firmware: str = ""


class HealthState(msgspec.Struct, array_like=True):
    """State of one store. `next_hour`: when the next hour begins for every device."""

    pending: Pending = msgspec.field(default_factory=lambda: Pending("1h"))
    held: dict[int, dict[Key, Health]] = {}
    devices: dict[str, Running] = {}
    next_hour: int = FOREVER


class HealthKeeper:
    """The operator. `horizon`: seconds within which late reports still count as covered."""

    def __init__(self, site: Site, horizon: int, state: HealthState) -> None:
        self.site, self.horizon, self.state = site, horizon, state

    def take(self, arrival: Arrival, accepted: list[Accepted], now: int) -> None:
        """Take one message, `accepted` being what it says that is new."""
        report = arrival.report
        start, end = bucket(self.site.zone, now, "1h")
        if self.state.next_hour == FOREVER:
            self.state.next_hour = end
        known = self.state.devices.setdefault(report.device, Running(now, now))
        known.last, known.firmware = now, report.firmware or known.firmware
        health = self._health(start, report.device)
        health.last_seen, health.known = max(health.last_seen or 0, arrival.arrival), max(health.known, arrival.arrival)
        health.firmware = known.firmware
        if not accepted:
            return
        health.messages += 1
        health.n += 1
        if report.time is not None:
            skews = [*health.skew, accepted[0].skew_s]
            health.skew = [min(skews), max(skews)]
        if not report.retransmission:
            self._ran(report.running_time, report.time or 0, known, health)
        for a in accepted:
            if type(a.event) is DeviceStatus:
                _status(health, a.event.fields)
            elif a.end > a.start and type(a.event) is not Stay:
                self._cover(a, now)

    def take_plain(self, plain: Plain, now: int) -> None:
        """The same for a plain report that is new as a whole and in time."""
        zone, device, arrival = self.site.zone, plain.device, plain.arrival
        start, _ = bucket(zone, now, "1h")
        known = self.state.devices.get(device)
        if known is None:
            known = self.state.devices[device] = Running(now, now)
        known.last, known.firmware = now, plain.firmware or known.firmware
        health = self._health(start, device)
        health.last_seen, health.known = max(health.last_seen or 0, arrival), max(health.known, arrival)
        health.firmware = known.firmware
        if not plain.lines:
            return
        health.messages += 1
        health.n += 1
        skew = arrival // 1000 - plain.end
        health.skew = [min(skew, *health.skew), max(skew, *health.skew)] if health.skew else [skew, skew]
        self._ran(plain.running_time, plain.end, known, health)
        moment = plain.start
        while moment < plain.end:
            began, ended = bucket(zone, moment, "1h")
            until = min(plain.end, ended)
            if ended + self.horizon > now:
                known.first = min(known.first, moment)
                of = health if began == start else self._health(began, device)
                first, last = (moment - began) // MINUTE, (until - 1 - began) // MINUTE
                of.covered = (of.covered or 0) | (1 << last + 1) - (1 << first)
                of.known = max(of.known, arrival)
                of.n += len(plain.lines) * (began != start)
            moment = until

    def _health(self, start: int, device: str) -> Health:
        self.state.pending.mark(start, (device,))
        return self.state.held.setdefault(start, {}).setdefault((device,), Health())

    @staticmethod
    def _ran(running: int | None, time: int, known: Running, health: Health) -> None:
        """A running time that began again is a restart, unless the message is an older one."""
        if running is None or time < known.time:
            return
        if 0 <= running < known.running:
            health.reboots = (health.reboots or 0) + 1
        elif health.reboots is None:
            health.reboots = 0
        known.time, known.running = time, running

    def _cover(self, a: Accepted, now: int) -> None:
        moment = a.start
        while moment < a.end:
            start, end = bucket(self.site.zone, moment, "1h")
            until = min(a.end, end)
            if end + self.horizon > now:
                known = self.state.devices[a.from_.report.device]
                known.first = min(known.first, moment)
                health = self._health(start, a.from_.report.device)
                first, last = (moment - start) // MINUTE, (until - 1 - start) // MINUTE
                health.covered = (health.covered or 0) | (1 << last + 1) - (1 << first)
                health.known = max(health.known, a.arrival)
                health.n += start != bucket(self.site.zone, now, "1h")[0]  # else its message counts already
            moment = until

    def advance(self, now: int) -> None:
        """Begin the next hour of every device that should report."""
        start = self.state.next_hour
        for device in sorted(self._expected(now)):
            self._health(start, device).firmware = self.state.devices[device].firmware
        self.state.next_hour = bucket(self.site.zone, start, "1h")[1]

    def _expected(self, now: int) -> set[str]:
        """Devices that have reported and are still declared, or have reported lately."""
        declared = {d.id for d in self.site.devices.values()}
        self.state.devices = {d: r for d, r in self.state.devices.items() if d in declared or r.last + REMEMBERED_S > now}
        return set(self.state.devices)

    def expected_s(self, device: str, start: int, end: int) -> int:
        """Seconds of an hour in which a device should have reported."""
        known = self.state.devices.get(device)
        return end - (max(start, min(end, known.first)) if known is not None else start)


def missed(health: Health, entry: Device, expected_s: int, covered_s: int | None) -> int:
    """Reports that are missing in an hour that is over."""
    if covered_s is not None:
        return max(0, expected_s - covered_s) // entry.interval_s
    return max(0, expected_s // entry.interval_s - health.messages)


def _status(health: Health, fields: dict[str, Value]) -> None:
    for name, value in fields.items():
        if name in health.said or len(health.said) < MOST_FIELDS:
            health.said[name] = value
        if isinstance(value, bool):
            if name.startswith("occlusion") or name == "occluded":
                health.occluded = bool(health.occluded) or value
        elif isinstance(value, int | float):
            _figure(health, name.lower(), float(value))


def _figure(health: Health, name: str, value: float) -> None:
    if name.startswith("battery") and name.endswith("_pct"):
        health.battery = value if health.battery is None else min(health.battery, value)
    elif name.endswith("temperature_c"):
        health.temperature = value if health.temperature is None else max(health.temperature, value)
    elif name == "pitch_deg":
        health.pitch = value
    elif name == "roll_deg":
        health.roll = value
    elif name in ("rssi_dbm", "rssi"):
        health.rssi = [value + sum(health.rssi[:1]), 1 + sum(health.rssi[1:])]
    elif name in ("snr_db", "snr"):
        health.snr = [value + sum(health.snr[:1]), 1 + sum(health.snr[1:])]
