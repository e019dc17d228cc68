"""Alerts: capacity (on the probability), silent and faulty sensors, unusual and expected traffic, queues; to log and store.

Event time decides, and only data inside the alert horizon alert (operators/alerting.py). Evaluated once per report that changes
the figure, and by timers; a capacity that nobody set has no alert.
"""

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from flows.ingest import IngestFlow, device_row
from flows.queues import Seen
from operators import alerting
from operators.alerting import AlertState, Phase
from operators.calendar import is_open
from operators.memory import DeviceMemory
from operators.moment import FOREVER, Context, Flow, Moment, Output, SiteFlow
from operators.occupancy import Estimate
from operators.past import Past
from operators.sensor_health import Episode
from operators.traffic import Change
from schemas.alerts import Rule, Sample, Transition
from schemas.events import Plain
from schemas.rows import Transitions
from schemas.sites import Site

SCHEMA = 1
CAPACITY = Rule("capacity", "capacity", "warning")
CAPACITY_LEGAL = Rule("capacity_legal", "capacity", "critical")
SILENT = Rule("sensor_silent", "sensor", "warning", hold_s=0, keep_s=0)
UNUSUAL = Rule("unusual_traffic", "traffic", "info", hold_s=0, keep_s=0, stale_max_s=7200)
PERIODIC = ("line", "zone", "dwell", "flow")
"""Sections whose windows tell how often a sensor reports."""
QUEUE = Rule("queue_long", "queue", "warning", hold_s=120)
EXPECTED_HIGH = Rule("high_traffic_expected", "traffic", "info", hold_s=0, keep_s=0, stale_max_s=7200)
RAISE_AT, LEGAL_RAISE_AT = 0.5, 0.1
"""Probability of being at or over 90 % of the capacity at which it fires; earlier for a legal limit, the safe side."""
CLEAR_SHARE = 0.8
FAULT = Rule("sensor_fault", "sensor", "warning", hold_s=0, keep_s=0, stale_max_s=7200)
"""One per sensor and kind of fault. What a sensor shows by its silence is told by `sensor_silent`."""
UNTOLD = ("silent", "missed")
SILENT_PERIODS = 3
SILENT_AGAIN_S = 600
"""A sensor that stays silent is looked at this often, so that its alert does not grow stale."""


class _Saved(msgspec.Struct, array_like=True):
    schema: int
    alerts: list[tuple[str, str, list[object]]]
    checks: dict[str, int]
    silent: set[str]


class AlertsFlow:
    """All alerts of one store."""

    def __init__(self, site: Site, state: bytes | None, ingest: IngestFlow, context: Context) -> None:
        self.site, self.ingest, self.horizon_ms = site, ingest, context.alert_horizon_s * 1000
        saved = msgspec.msgpack.decode(state, type=_Saved) if state else _Saved(SCHEMA, [], {}, set())
        self.alerts = {(rule, subject): AlertState.from_state(list(plain)) for rule, subject, plain in saved.alerts}
        self.checks, self.silent = saved.checks, saved.silent
        self.changed_devices: set[str] = set()

    # -- after a loss of state -----------------------------------------------------------------------------------------------

    def seed(self, past: Past) -> None:
        """Open episodes and used ids from the transitions before a reset; which sensors were silent from when they were heard.

        What lies between two transitions (pending, recovering) is not known: at a reset it hardly ever matters.
        """
        begin_ms = past.begin * 1000
        for (rule, subject), t in past.transitions.items():
            if rule in RULES:
                seen = (past.scored + 900) * 1000 if rule == UNUSUAL.name else begin_ms
                self.alerts[rule, subject] = _state_of(t, seen if t.kind == "firing" else t.happened_ms)
        for device, entry in self.site.devices.items():
            heard = past.heard.get(device)
            told = past.transitions.get((SILENT.name, device))
            if heard is None and told is not None and told.kind == "firing":
                heard = told.happened_ms // 1000
            if heard is None:
                self.checks[device] = past.begin + SILENT_PERIODS * entry.interval_s
                continue
            if heard < past.begin:
                self.silent.add(device)
                heard += -((heard - past.begin) // SILENT_AGAIN_S) * SILENT_AGAIN_S
            self.checks[device] = heard

    def agree(self, said: Mapping[tuple[str, str], Transition]) -> None:
        """An episode that is open by its newest transition, and here under another onset, is that one."""
        for key, t in said.items():
            state = self.alerts.get(key)
            if t.kind == "firing" and state is not None and state.open and state.onset_ms != t.onset_ms:
                state.onset_ms, state.live = t.onset_ms, not t.backfilled

    # -- samples ---------------------------------------------------------------------------------------------------------

    def take(self, m: Moment) -> None:
        if len(self.checks) < len(self.site.devices):
            for device, entry in self.site.devices.items():
                self.checks.setdefault(device, m.now + SILENT_PERIODS * entry.interval_s)
        if m.arrival is not None:
            self._heard(m)
        present = cast(Estimate | None, m.notes.get("occupancy"))
        if present is not None:
            at = max(a.end for a in m.accepted if not a.late) * 1000
            self._capacity(CAPACITY, self.site.capacity_operational, present.over_operational, RAISE_AT, present, at, m)
            self._capacity(CAPACITY_LEGAL, self.site.capacity_legal, present.over_legal, LEGAL_RAISE_AT, present, at, m)
        for seen in cast(Sequence[Seen], m.notes.get("queues", ())):
            self._queue(seen, m)

    def in_runs(self) -> bool:
        """While all sensors are known and heard, a plain report only moves the time at which its sensor is looked at; but where
        there is a capacity, the estimate is looked at after each."""
        capacity = self.site.capacity_operational or self.site.capacity_legal
        return capacity is None and not self.silent and len(self.checks) >= len(self.site.devices)

    def take_plains(self, reports: Sequence[Plain], changes: list[Change] | None, now: int) -> None:
        checks, devices = self.checks, self.site.devices
        for plain in reports:
            entry = devices.get(plain.device)
            if entry is not None:
                pace = max(entry.interval_s, plain.end - plain.start if plain.lines else 0)
                heard_until = plain.arrival // 1000 + SILENT_PERIODS * pace
                if heard_until > checks.get(plain.device, 0):
                    checks[plain.device] = heard_until

    def _queue(self, seen: Seen, m: Moment) -> None:
        """A queue is too long from its limit on, and short again below four fifths of it."""
        subject, clear = f"{seen.device}/{seen.queue}", seen.length < CLEAR_SHARE * seen.limit
        if clear and (QUEUE.name, subject) not in self.alerts:
            return
        zone = self.site.entry(seen.device).zones.get(seen.queue)
        name = zone.name if zone is not None and zone.name else f"queue {seen.queue}"
        text = f"{self.site.name}: {seen.length} people wait at {name}, which is too many from {seen.limit} on"
        at_ms = seen.at * 1000
        self._step(QUEUE, subject, Sample(at_ms, seen.length >= seen.limit, clear, seen.length, text, "queue_long"), m)

    def _capacity(
        self, rule: Rule, limit: int | None, over: float | None, raise_at: float, present: Estimate, at: int, m: Moment
    ) -> None:
        if limit is None or over is None:
            return
        clear = present.estimate < CLEAR_SHARE * limit and over < raise_at
        if clear and (rule.name, "") not in self.alerts:
            return
        name = "legal limit" if rule is CAPACITY_LEGAL else "capacity"
        text = (
            f"{self.site.name}: about {present.estimate:.0f} people ({present.low:.0f} to {present.high:.0f}), "
            f"{present.estimate / limit:.0%} of the {name} of {limit}; {over:.0%} likely nine tenths or more"
        )
        self._step(rule, "", Sample(at, over >= raise_at, clear, present.estimate, text, "over_capacity"), m)

    def _heard(self, m: Moment) -> None:
        """A message came: the device is not silent, and is looked at again three periods from now."""
        assert m.arrival is not None
        device, at = m.arrival.report.device, m.arrival.arrival
        entry = self.site.devices.get(device)
        if entry is None:
            return
        # A device that was set to report less often than the registry says is not silent between two of its reports.
        pace = max([entry.interval_s, *(a.end - a.start for a in m.accepted if a.event.section in PERIODIC)])
        heard_until = at // 1000 + SILENT_PERIODS * pace
        self.checks[device] = max(self.checks.get(device, 0), heard_until)
        # A record with an old arrival (a ledger appended once more) does not say that the device is alive now.
        if device in self.silent and heard_until > m.now:
            self.silent.discard(device)
            self._step(SILENT, device, Sample(max(at, m.now_ms), False, True, 0.0, "", "heard"), m)

    def _silence(self, device: str, m: Moment) -> None:
        entry = self.site.devices.get(device)
        if entry is None:
            del self.checks[device]
            return
        self.checks[device] = m.now + SILENT_AGAIN_S
        if not is_open(self.site, m.now):
            return
        memory = self.ingest.ingest.devices.get(device)
        minutes = (m.now - memory.last_arrival // 1000) / 60 if memory is not None and memory.last_arrival else None
        since = f"for {minutes:.0f} minutes" if minutes is not None else "yet"
        text = f"{self.site.name}: sensor {entry.name or device} has sent nothing {since}"
        if device not in self.silent:
            self.silent.add(device)
            self.changed_devices.add(device)
        self._step(SILENT, device, Sample(m.now_ms, True, False, minutes, text, "silent"), m)

    # -- states ----------------------------------------------------------------------------------------------------------

    def _step(self, rule: Rule, subject: str, sample: Sample, m: Moment) -> None:
        state = self.alerts.setdefault((rule.name, subject), AlertState())
        late = m.now_ms - sample.at_ms > self.horizon_ms
        self._emit(alerting.step(rule, self.site.id, subject, state, sample, late, m.now_ms, self.horizon_ms), m.out)
        self._drop(rule.name, subject, state)

    def _drop(self, rule: str, subject: str, state: AlertState) -> None:
        """An alert that rests needs no state, but for the ids that its last episode has used up."""
        if state.phase == "inactive" and state.decided_ms == 0:
            self.alerts.pop((rule, subject), None)

    def _emit(self, transitions: list[Transition], out: Output) -> None:
        out.transitions += transitions
        rows = out.rows.setdefault("transitions", []) if transitions else []
        for t in transitions:
            rows.append(
                Transitions.row(
                    transition_id=t.transition_id,
                    episode_id=t.episode_id,
                    fingerprint=t.fingerprint,
                    site=t.site,
                    rule=t.rule,
                    subject=t.subject,
                    severity=t.severity,
                    kind=t.kind,
                    happened=t.happened_ms // 1000,
                    onset=t.onset_ms // 1000,
                    value=t.value,
                    summary=t.summary,
                    reason=t.reason,
                    backfilled=int(t.backfilled),
                    decided_ms=t.decided_ms,
                )
            )

    def due(self) -> int:
        times = list(self.checks.values())
        for (rule, _), state in self.alerts.items():
            at = alerting.due(state, RULES[rule])
            if at is not None:
                times.append(-(-at // 1000))
        return min(times, default=FOREVER)

    def advance(self, m: Moment) -> None:
        for (rule, subject), state in list(self.alerts.items()):
            at = alerting.due(state, RULES[rule])
            if at is not None and at <= m.now_ms:
                fired = alerting.advance(RULES[rule], self.site.id, subject, state, m.now_ms, m.now_ms, self.horizon_ms)
                self._emit(fired, m.out)
                self._drop(rule, subject, state)
        for device in [d for d, at in self.checks.items() if at <= m.now]:
            self._silence(device, m)
        for name, of in (("anomaly", UNUSUAL), ("forecast", EXPECTED_HIGH)):
            sample = cast(Sample | None, m.notes.get(name))
            if sample is not None:
                self._step(of, "", sample, m)

        self._faults(cast(Sequence[Episode], m.notes.get("health", ())), m)

    def _faults(self, episodes: Sequence[Episode], m: Moment) -> None:
        """Faults of sensors that last, or are over now; two lines with the same fault are one."""
        there: dict[str, list[Episode]] = {}
        for e in episodes:
            if e.verdict == "sensor" and e.kind not in UNTOLD:
                there.setdefault(f"{e.device}/{e.kind}", []).append(e)
        for subject, some in there.items():
            lasts = [e for e in some if not e.ended]
            known = (FAULT.name, subject) in self.alerts
            if not known and (not lasts or lasts[0].device in self.silent):
                continue
            text = f"{self.site.name}: {lasts[0].evidence}" if lasts else ""
            value = lasts[0].value if lasts else None
            self._step(FAULT, subject, Sample(m.now_ms, bool(lasts), not lasts, value, text, some[0].kind), m)

    def dirty(self) -> bool:
        return bool(self.changed_devices)

    def flush(self, now: int, force: bool, out: Output) -> None:
        for device in sorted(self.changed_devices):
            memory = self.ingest.ingest.devices.get(device) or DeviceMemory()
            row = device_row(self.site.id, device, self.site.devices[device], memory, silent=device in self.silent)
            out.rows.setdefault("devices", []).append(row)
        self.changed_devices = set()

    def state(self) -> bytes:
        alerts = [(rule, subject, state.to_state()) for (rule, subject), state in self.alerts.items()]
        return msgspec.msgpack.encode(_Saved(SCHEMA, alerts, self.checks, self.silent))


def _state_of(t: Transition, seen_ms: int) -> AlertState:
    """An alert as its newest transition leaves it."""
    phase: Phase = "firing" if t.kind == "firing" else "inactive"
    live = phase == "firing" and not t.backfilled
    return AlertState(phase, t.onset_ms, 0, seen_ms, t.happened_ms, live, t.backfilled, t.value, t.summary, t.reason)


RULES = {rule.name: rule for rule in (CAPACITY, CAPACITY_LEGAL, SILENT, FAULT, UNUSUAL, QUEUE, EXPECTED_HIGH)}


def _build(site: Site, state: bytes | None, upstream: Mapping[str, SiteFlow], context: Context) -> SiteFlow:
    return AlertsFlow(site, state, cast(IngestFlow, upstream["ingest"]), context)


SAMPLE = [
    (
        "2026-07-31T10:01:02Z",
        b"""{"device_info": {"device_sn": "6537F28778010000"},
"time_info": {"start_time": "2026-07-31T10:00:00+00:00", "end_time": "2026-07-31T10:01:00+00:00"},
"line_periodic_data": [{"line": 1, "in": 99, "out": 0}]}""",
    ),
    (
        "2026-07-31T10:02:02Z",
        b"""{"device_info": {"device_sn": "6537F28778010000"},
"time_info": {"start_time": "2026-07-31T10:01:00+00:00", "end_time": "2026-07-31T10:02:00+00:00"},
"line_periodic_data": [{"line": 1, "in": 9, "out": 0}]}""",
    ),
    (
        "2026-07-31T10:03:02Z",
        b"""{"device_info": {"device_sn": "6537F28778010000"},
"time_info": {"start_time": "2026-07-31T10:02:00+00:00", "end_time": "2026-07-31T10:03:00+00:00"},
"line_periodic_data": [{"line": 1, "in": 2, "out": 1}]}""",
    ),
    (
        "2026-07-31T10:04:02Z",
        b"""{"device_info": {"device_sn": "6537F28778010000"},
"time_info": {"start_time": "2026-07-31T10:03:00+00:00", "end_time": "2026-07-31T10:04:00+00:00"},
"line_periodic_data": [{"line": 1, "in": 0, "out": 60}]}""",
    ),
    (
        "2026-07-31T10:05:02Z",
        b"""{"device_info": {"device_sn": "6537F28778010000"},
"time_info": {"start_time": "2026-07-31T10:04:00+00:00", "end_time": "2026-07-31T10:05:00+00:00"},
"line_periodic_data": [{"line": 1, "in": 1, "out": 2}]}""",
    ),
    (
        "2026-07-31T10:06:02Z",
        b"""{"device_info": {"device_sn": "6537F28778010000"},
"time_info": {"start_time": "2026-07-31T10:05:00+00:00", "end_time": "2026-07-31T10:06:00+00:00"},
"line_periodic_data": [{"line": 1, "in": 1, "out": 1}]}""",
    ),
    (
        "2026-07-31T10:07:02Z",
        b"""{"device_info": {"device_sn": "6537F28778010000"},
"time_info": {"start_time": "2026-07-31T10:06:00+00:00", "end_time": "2026-07-31T10:07:00+00:00"},
"line_periodic_data": [{"line": 1, "in": 0, "out": 1}]}""",
    ),
]


EXPECTED: dict[str, list[dict[str, object]]] = {
    "transitions": [
        {
            "rule": "capacity",
            "kind": "firing",
            "onset": "2026-07-31T10:01:00Z",
            "happened": "2026-07-31T10:02:00Z",
            "value": 99.0,
            "backfilled": 0,
        },
        {
            "rule": "capacity",
            "kind": "resolved",
            "onset": "2026-07-31T10:01:00Z",
            "happened": "2026-07-31T10:06:00Z",
            "reason": "cleared",
        },
    ],
}

FLOW = Flow(
    name="alerts",
    summary="capacity, silent and faulty sensors, unusual traffic, long queues; transitions to the log",
    after=("ingest", "occupancy", "anomaly", "queues", "forecast", "health"),
    tables=(Transitions,),
    build=_build,
)
