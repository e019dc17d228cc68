"""Alerts: rules, samples, transitions and their deterministic ids.

Times are epoch milliseconds of event time. A transition is what the lane writes to the log, keyed by site, as JSON.
"""

from hashlib import blake2b
from typing import Annotated, Literal

import msgspec

Severity = Literal["critical", "warning", "info"]
Change = Literal["firing", "resolved"]
FIRED, CONFIRMED, RESOLVED = 0, 1, 2
"""`Transition.ordinal`: the place within an episode. CONFIRMED is a second, live `firing` of an episode that began on
back-filled data. Fixed numbers, so that a resolve has the same id whether or not a confirmation came before it."""


Moment = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799_999)]
"""Epoch ms up to the end of the year 9999: what can be stored and shown."""


class Rule(msgspec.Struct, frozen=True):
    """When a condition becomes an alert. Durations in seconds of event time.

    `family` groups rules for delivery ("capacity", "sensor", "traffic"); `hold_s`: how long the raise condition must hold
    before it fires ("for"); `keep_s`: how long the clear condition must hold before it resolves; `stale_max_s`: an alert
    without samples is resolved with reason `no_data` after this long.
    """

    name: str
    family: str
    severity: Severity
    hold_s: int = 60
    keep_s: int = 120
    stale_max_s: int = 1800


class Sample(msgspec.Struct, frozen=True):
    """One look at a condition. `raised`: value at or over the raise mark; `cleared`: value under the clear mark (both False
    in between). `at_ms`: event time."""

    at_ms: int
    raised: bool
    cleared: bool
    value: float | None = None
    summary: str = ""
    reason: str = ""


class Transition(msgspec.Struct, frozen=True):
    """One change of state of an alert; JSON of this is the value of a record in the topic `transitions`.

    `happened_ms`: event time of the change; `onset_ms`: of the episode's begin; `decided_ms`: log time of the decision.
    """

    transition_id: str
    episode_id: str
    fingerprint: str
    site: str
    rule: str
    family: str
    subject: str
    severity: Severity
    kind: Change
    ordinal: Annotated[int, msgspec.Meta(ge=0, le=1000)]
    happened_ms: Moment
    onset_ms: Moment
    value: float | None
    summary: str
    reason: str
    backfilled: bool
    decided_ms: Moment


def _hash(*parts: object) -> str:
    return blake2b("\x1f".join(map(str, parts)).encode(), digest_size=16).hexdigest()


def fingerprint(rule: str, site: str, subject: str) -> str:
    """Stable over episodes: what receivers use as the de-duplication key."""
    return _hash("alert", rule, site, subject)


def episode_id(fingerprint: str, onset_ms: int) -> str:
    """One raising of an alert. Never random: a replay gives the same id."""
    return _hash(fingerprint, onset_ms)


def transition_id(episode: str, kind: str, ordinal: int) -> str:
    return _hash(episode, kind, ordinal)


def notification_id(transition: str, receiver: str) -> str:
    """The webhook id: the same on every retry. Hex only, so it holds no dot (Standard Webhooks forbids it)."""
    return _hash(transition, receiver)
