"""The alert state machine: one alert is one small state, moved by samples and timers in event time.

`inactive -> pending -> firing -> recovering -> inactive`. All times are epoch milliseconds of event time, except `decided_ms`,
the log time of the decision. What comes out depends on the samples alone, never on how they were cut into batches: `step` fires
the timers that are due before its sample, and `advance` in between fires the same ones.

Intervals are half-open: a timer due at t comes before a sample at t. A sample older than what was decided moves nothing.
"""

from dataclasses import dataclass
from typing import Any, Literal

from schemas.alerts import CONFIRMED, FIRED, RESOLVED, Change, Rule, Sample, Transition, episode_id, fingerprint, transition_id

Phase = Literal["inactive", "pending", "firing", "recovering"]
_PHASES: tuple[Phase, ...] = ("inactive", "pending", "firing", "recovering")
HORIZON_MS = 600_000
"""Default of the setting `alert_horizon_s`: a decision on older data is stored as back-filled and alarms nobody."""
VERSION = 1


@dataclass(slots=True)
class AlertState:
    """What one alert remembers. `onset_ms`: start of the condition; `recovering_ms`: since when it is clear; `last_ms`: newest
    sample; `decided_ms`: event time of the newest transition. `live`: this episode's firing was not back-filled. `late`: the
    newest sample was. `value`, `summary` and `reason` are those of the newest sample of the condition."""

    phase: Phase = "inactive"
    onset_ms: int = -1
    recovering_ms: int = 0
    last_ms: int = 0
    decided_ms: int = 0
    live: bool = False
    late: bool = False
    value: float | None = None
    summary: str = ""
    reason: str = ""

    def to_state(self) -> list[Any]:
        """Plain values for msgpack, the first one being the version."""
        numbers = [_PHASES.index(self.phase), self.onset_ms, self.recovering_ms, self.last_ms, self.decided_ms]
        return [VERSION, *numbers, self.live, self.late, self.value, self.summary, self.reason]

    @classmethod
    def from_state(cls, state: list[Any]) -> "AlertState":
        """The state that `to_state` wrote. Raises ValueError for a version that this program does not know."""
        if not state or state[0] != VERSION:
            raise ValueError(f"alert state of version {state[:1]}: this program knows {VERSION}; start with a fresh state")
        return cls(_PHASES[state[1]], *state[2:])

    @property
    def open(self) -> bool:
        """An episode has fired and not been resolved."""
        return self.phase in ("firing", "recovering")


def due(state: AlertState, rule: Rule) -> int | None:
    """Event time of the next timer, None without one: held long enough, clear long enough, or no samples for too long."""
    if state.phase == "inactive":
        return None
    stale = state.last_ms + rule.stale_max_s * 1000
    if state.phase == "pending":
        return min(state.onset_ms + rule.hold_s * 1000, stale)
    if state.phase == "recovering":
        return min(state.recovering_ms + rule.keep_s * 1000, stale)
    return stale


def advance(
    rule: Rule, site: str, subject: str, state: AlertState, now_ms: int, decided_ms: int, horizon_ms: int = HORIZON_MS
) -> list[Transition]:
    """Fire the timers that are due up to `now_ms`, each at its own time; changes `state`.

    `now_ms`: event time before which no sample is expected any more. A transition is back-filled when the newest sample was, or
    when it happened more than `horizon_ms` before `decided_ms`.
    """
    fired: list[Transition] = []
    while (at := due(state, rule)) is not None and at <= now_ms:
        late = state.late or decided_ms - at > horizon_ms
        fired += _timer(_Alert(rule, site, subject, state, decided_ms), at, late)
    return fired


def step(
    rule: Rule,
    site: str,
    subject: str,
    state: AlertState,
    sample: Sample,
    backfilled: bool,
    decided_ms: int,
    horizon_ms: int = HORIZON_MS,
) -> list[Transition]:
    """Timers that are due before the sample, then the sample; changes `state`. A back-filled sample never decides live."""
    out = advance(rule, site, subject, state, sample.at_ms, decided_ms, horizon_ms)
    if sample.at_ms < max(state.last_ms, state.decided_ms):
        return out
    state.last_ms, state.late = sample.at_ms, backfilled
    if not sample.cleared or state.phase == "inactive":
        state.value, state.summary, state.reason = sample.value, sample.summary, sample.reason
    return out + _sampled(_Alert(rule, site, subject, state, decided_ms), sample, backfilled)


def close(
    rule: Rule, site: str, subject: str, state: AlertState, now_ms: int, decided_ms: int, reason: str
) -> list[Transition]:
    """End the alert because its rule is gone, paused or means another thing now (`reason`); changes `state`."""
    if state.open:
        return _Alert(rule, site, subject, state, decided_ms).resolve(max(now_ms, state.decided_ms), reason, late=False)
    state.phase = "inactive"
    return []


@dataclass(slots=True)
class _Alert:
    """One alert while it is moved."""

    rule: Rule
    site: str
    subject: str
    state: AlertState
    decided_ms: int

    def fire(self, at: int, late: bool) -> list[Transition]:
        self.state.phase, self.state.live = "firing", not late
        return [self._transition("firing", FIRED, at, self.state.reason or "raised", late)]

    def confirm(self, at: int) -> list[Transition]:
        """The episode began on back-filled data and still lasts: now it is told, with its old onset."""
        self.state.live = True
        return [self._transition("firing", CONFIRMED, at, self.state.reason or "raised", late=False)]

    def resolve(self, at: int, reason: str, late: bool) -> list[Transition]:
        self.state.phase = "inactive"
        return [self._transition("resolved", RESOLVED, at, reason, late or not self.state.live)]

    def _transition(self, kind: Change, ordinal: int, at: int, reason: str, late: bool) -> Transition:
        state, rule = self.state, self.rule
        state.decided_ms = at
        mark = fingerprint(rule.name, self.site, self.subject)
        episode = episode_id(mark, state.onset_ms)
        return Transition(
            transition_id=transition_id(episode, kind, ordinal),
            episode_id=episode,
            fingerprint=mark,
            site=self.site,
            rule=rule.name,
            family=rule.family,
            subject=self.subject,
            severity=rule.severity,
            kind=kind,
            ordinal=ordinal,
            happened_ms=at,
            onset_ms=state.onset_ms,
            value=state.value,
            summary=state.summary,
            reason=reason,
            backfilled=late,
            decided_ms=self.decided_ms,
        )


def _timer(alert: _Alert, at: int, late: bool) -> list[Transition]:
    state, rule = alert.state, alert.rule
    if at == state.last_ms + rule.stale_max_s * 1000:  # before the others: what nobody saw for so long is not decided any more
        if state.open:
            return alert.resolve(at, "no_data", late)
        state.phase = "inactive"
        return []
    if state.phase == "pending":
        return alert.fire(at, late)
    return alert.resolve(at, "cleared", late)


def _sampled(alert: _Alert, sample: Sample, late: bool) -> list[Transition]:
    state, rule, at = alert.state, alert.rule, sample.at_ms
    if state.phase == "inactive" and sample.raised:
        if state.onset_ms == at <= state.decided_ms:
            return []  # the episode of this onset is over: its ids are used up
        state.phase, state.onset_ms = "pending", at
        return alert.fire(at, late) if rule.hold_s == 0 else []
    if state.phase == "pending" and not sample.raised:
        state.phase = "inactive"
    elif state.open and not sample.cleared:
        state.phase = "firing"
        return [] if state.live or late else alert.confirm(at)
    elif state.phase == "firing":
        state.phase, state.recovering_ms = "recovering", at
        return alert.resolve(at, "cleared", late) if rule.keep_s == 0 else []
    return []
