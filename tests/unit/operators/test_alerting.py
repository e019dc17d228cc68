"""Scripts of time for one alert: hold 60 s, keep 120 s, stale after 30 min. Seconds below, milliseconds in the machine."""

import msgspec
import pytest

from operators.alerting import AlertState, advance, close, due, step
from schemas.alerts import Rule, Sample, Transition

RULE = Rule("capacity", "capacity", "critical")
OVER, BETWEEN, UNDER = (True, False), (False, False), (False, True)


def feed(state: AlertState, at: int, level: tuple[bool, bool], delay: int = 2) -> list[Transition]:
    sample = Sample(at * 1000, *level, 0.93, "93 % of 80", "over_operational")
    return step(RULE, "oslo", "", state, sample, delay > 600, (at + delay) * 1000)


def tick(state: AlertState, now: int, decided: int | None = None) -> list[Transition]:
    return advance(RULE, "oslo", "", state, now * 1000, (now if decided is None else decided) * 1000)


def brief(transitions: list[Transition]) -> list[tuple[str, int, str, bool]]:
    return [(t.kind, t.happened_ms // 1000, t.reason, t.backfilled) for t in transitions]


def test_it_fires_at_onset_plus_hold_however_late_that_is_noticed() -> None:
    #  over 100 ──────────── 160 fires;  noticed at 163
    state = AlertState()
    assert feed(state, 100, OVER) == []
    assert due(state, RULE) == 160_000
    assert tick(state, 159) == []
    (fired,) = tick(state, 163)
    assert brief([fired]) == [("firing", 160, "over_operational", False)]
    assert (fired.onset_ms, fired.decided_ms, fired.value, fired.summary) == (100_000, 163_000, 0.93, "93 % of 80")


def test_a_condition_that_ends_before_hold_sends_nothing() -> None:
    state = AlertState()
    assert feed(state, 100, OVER) + feed(state, 150, BETWEEN) + tick(state, 400) == []
    assert due(state, RULE) is None


def test_it_resolves_only_after_it_was_clear_for_keep_and_between_the_marks_keeps_it_firing() -> None:
    #  over 0 .. fires 60; clear 200; between 300 (firing again, same episode, no message); clear 400 ... resolves 520
    state = AlertState()
    out = feed(state, 0, OVER) + feed(state, 60, OVER) + feed(state, 200, UNDER) + feed(state, 300, BETWEEN)
    out += feed(state, 400, UNDER) + feed(state, 500, UNDER) + tick(state, 600)
    assert brief(out) == [("firing", 60, "over_operational", False), ("resolved", 520, "cleared", False)]
    assert len({t.episode_id for t in out}) == 1


def test_without_samples_it_resolves_with_reason_no_data() -> None:
    state = AlertState()
    out = feed(state, 0, OVER) + feed(state, 90, OVER) + tick(state, 90 + 1800)
    assert brief(out)[1:] == [("resolved", 1890, "no_data", False)]


def test_a_backfilled_episode_is_told_once_live_data_confirm_it_with_its_old_onset() -> None:
    state = AlertState()
    out = feed(state, 0, OVER, delay=3600) + feed(state, 300, OVER, delay=3300) + feed(state, 600, OVER, delay=5)
    assert brief(out) == [("firing", 60, "over_operational", True), ("firing", 600, "over_operational", False)]
    assert {t.onset_ms for t in out} == {0} and [t.ordinal for t in out] == [0, 1]
    resolved = feed(state, 700, UNDER) + tick(state, 900)
    assert brief(resolved) == [("resolved", 820, "cleared", False)]


def test_an_episode_nobody_was_told_of_resolves_backfilled_even_on_live_data() -> None:
    state = AlertState()
    out = feed(state, 0, OVER, delay=3600) + feed(state, 60, UNDER, delay=3600) + feed(state, 300, UNDER, delay=1)
    assert brief(out) == [("firing", 60, "over_operational", True), ("resolved", 180, "cleared", True)]


def test_a_timer_noticed_beyond_the_horizon_is_backfilled() -> None:
    state = AlertState()
    assert feed(state, 0, OVER) == []
    assert brief(tick(state, 61, decided=61 + 601)) == [("firing", 60, "over_operational", True)]


def test_the_ids_depend_on_rule_store_subject_onset_and_kind_only() -> None:
    ids = []
    for delay in (1, 9):
        state = AlertState()
        ids.append([t.transition_id for t in feed(state, 0, OVER, delay) + feed(state, 70, OVER, delay) + tick(state, 4000)])
    assert ids[0] == ids[1] and len(set(ids[0])) == 2


def test_a_rule_that_is_gone_resolves_an_open_alert_once_with_its_reason() -> None:
    state = AlertState()
    feed(state, 0, OVER)
    assert close(RULE, "oslo", "", AlertState(), 1000, 1000, "rule_deleted") == []
    assert brief(feed(state, 60, OVER)) == [("firing", 60, "over_operational", False)]
    assert brief(close(RULE, "oslo", "", state, 90_000, 90_000, "rule_deleted")) == [("resolved", 90, "rule_deleted", False)]
    assert close(RULE, "oslo", "", state, 91_000, 91_000, "rule_deleted") == [] and due(state, RULE) is None


def test_the_state_survives_msgpack_and_an_unknown_version_is_refused() -> None:
    state = AlertState()
    feed(state, 0, OVER)
    packed = msgspec.msgpack.encode(state.to_state())
    assert len(packed) < 80
    assert AlertState.from_state(msgspec.msgpack.decode(packed)) == state
    with pytest.raises(ValueError, match="version"):
        AlertState.from_state([99])
