"""The alert state machine against an oracle that goes second by second, and against other cuts of the same samples."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from operators.alerting import AlertState, advance, due, step
from schemas.alerts import Rule, Sample, Transition, episode_id, fingerprint, transition_id

HORIZON_S = 600
MARK = fingerprint("r", "s", "x")
Said = tuple[
    str, int, str, int, int, bool, str
]  # id, ordinal, kind, happened, onset, back-filled, reason: what must not depend on the cut


def said(t: Transition) -> Said:
    return (t.transition_id, t.ordinal, t.kind, t.happened_ms // 1000, t.onset_ms // 1000, t.backfilled, t.reason)


@dataclass
class Oracle:
    """Second by second: slow, and written from the table of states in words."""

    rule: Rule
    said: list[Said] = field(default_factory=list)
    phase: str = "inactive"
    onset: int = -1
    clear_since: int = -1
    seen: int = -1
    told: bool = False
    late: bool = False
    used: set[int] = field(default_factory=set)
    clock: int = 0

    def say(self, kind: str, ordinal: int, at: int, late: bool, reason: str) -> None:
        episode = episode_id(MARK, self.onset * 1000)
        self.used.add(self.onset)
        self.said.append((transition_id(episode, kind, ordinal), ordinal, kind, at, self.onset, late, reason))

    def second(self, at: int, decided: int) -> None:
        """Timers of one second."""
        if self.phase == "inactive":
            return
        late = self.late or decided - at > HORIZON_S
        if at - self.seen == self.rule.stale_max_s:
            if self.phase != "pending":
                self.say("resolved", 2, at, late or not self.told, "no_data")
            self.phase = "inactive"
        elif self.phase == "pending" and at - self.onset == self.rule.hold_s:
            self.phase, self.told = "firing", not late
            self.say("firing", 0, at, late, "why")
        elif self.phase == "recovering" and at - self.clear_since == self.rule.keep_s:
            self.phase = "inactive"
            self.say("resolved", 2, at, late or not self.told, "cleared")

    def pass_to(self, at: int, decided: int) -> None:
        while self.clock < at:
            self.clock += 1
            self.second(self.clock, decided)

    def sample(self, at: int, raised: bool, cleared: bool, late: bool) -> None:
        self.seen, self.late = at, late
        if self.phase == "inactive" and raised and at not in self.used:
            self.phase, self.onset = "pending", at
            if self.rule.hold_s == 0:
                self.phase, self.told = "firing", not late
                self.say("firing", 0, at, late, "why")
        elif self.phase == "pending" and not raised:
            self.phase = "inactive"
        elif self.phase in ("firing", "recovering") and not cleared:
            self.phase = "firing"
            if not self.told and not late:
                self.told = True
                self.say("firing", 1, at, False, "why")
        elif self.phase == "firing" and cleared:
            self.phase, self.clear_since = "recovering", at
            if self.rule.keep_s == 0:
                self.phase = "inactive"
                self.say("resolved", 2, at, late or not self.told, "cleared")


RULES = st.builds(
    Rule,
    name=st.just("r"),
    family=st.just("f"),
    severity=st.just("warning"),
    hold_s=st.sampled_from([0, 1, 3, 60]),
    keep_s=st.sampled_from([0, 1, 4, 120]),
    stale_max_s=st.sampled_from([1, 4, 60, 200]),
)
LEVELS = {"over": (True, False), "between": (False, False), "under": (False, True)}


class Alert(RuleBasedStateMachine):
    """Samples, gaps, late arrivals, timers noticed at any moment, and restarts from the stored state."""

    def __init__(self) -> None:
        super().__init__()
        self.machine: Rule | None = None
        self.at = 1
        self.delay = 0
        self.state = AlertState()
        self.said: list[Said] = []

    @rule(machine=RULES)
    @precondition(lambda self: self.machine is None)
    def begin(self, machine: Rule) -> None:
        self.machine, self.oracle = machine, Oracle(machine)

    @precondition(lambda self: self.machine is not None)
    @rule(
        gap=st.sampled_from([0, 1, 1, 1, 2, 3, 5, 61, 130, 900]),
        level=st.sampled_from(sorted(LEVELS)),
        delay=st.sampled_from([0, 0, 599, 700]),
    )
    def sample(self, gap: int, level: str, delay: int) -> None:
        assert self.machine is not None
        self.at += gap
        raised, cleared = LEVELS[level]
        decided, late = self.at + delay, delay > HORIZON_S
        self.oracle.pass_to(self.at, decided)
        self.oracle.sample(self.at, raised, cleared, late)
        sample = Sample(self.at * 1000, raised, cleared, 1.0, "text", "why")
        out = step(self.machine, "s", "x", self.state, sample, late, decided * 1000)
        self.said += map(said, out)

    @precondition(lambda self: self.machine is not None)
    @rule(gap=st.sampled_from([1, 2, 60, 130]), delay=st.sampled_from([0, 700]))
    def time_passes(self, gap: int, delay: int) -> None:
        assert self.machine is not None
        self.at += gap
        self.oracle.pass_to(self.at, self.at + delay)
        self.said += map(said, advance(self.machine, "s", "x", self.state, self.at * 1000, (self.at + delay) * 1000))

    @precondition(lambda self: self.machine is not None and self.at > 2)
    @rule(back=st.integers(1, 500), level=st.sampled_from(sorted(LEVELS)))
    def a_sample_from_the_past_changes_nothing(self, back: int, level: str) -> None:
        assert self.machine is not None
        known = max(self.state.last_ms, self.state.decided_ms)
        before = self.state.to_state()
        if known - back * 1000 > 0:
            past = Sample(known - back * 1000, *LEVELS[level], 9.0, "past")
            assert step(self.machine, "s", "x", self.state, past, False, self.at * 1000) == []
            assert self.state.to_state() == before

    @precondition(lambda self: self.machine is not None)
    @rule()
    def restart(self) -> None:
        self.state = AlertState.from_state(self.state.to_state())

    @invariant()
    def says_what_the_oracle_says(self) -> None:
        if self.machine is not None:
            assert self.said == self.oracle.said
            assert len({s[0] for s in self.said}) == len(self.said)
            wanted = due(self.state, self.machine)
            assert wanted is None or wanted > self.at * 1000 or wanted > self.state.last_ms


Alert.TestCase.settings = settings(max_examples=300, stateful_step_count=40)
test_the_machine_says_what_the_oracle_says = Alert.TestCase

SAMPLES = st.lists(
    st.tuples(st.integers(0, 90), st.sampled_from(sorted(LEVELS)), st.booleans()), max_size=40
)  # (gap, level, back-filled)


@given(RULES, SAMPLES, st.lists(st.integers(0, 3000), max_size=30))
@settings(max_examples=300)
def test_firing_timers_at_any_other_moments_gives_the_same_transitions(
    machine: Rule, samples: list[tuple[int, str, bool]], extra: list[int]
) -> None:
    def run(moments: list[int]) -> list[Said]:
        state, at, out = AlertState(), 0, []
        waiting = sorted(moments)
        for gap, level, late in samples:
            at += gap
            while waiting and waiting[0] <= at:  # noticed in between, at no later moment than the sample
                now = waiting.pop(0) * 1000
                out += advance(machine, "s", "x", state, now, now)
            out += step(machine, "s", "x", state, Sample(at * 1000, *LEVELS[level], 1.0, "", "why"), late, at * 1000, 10**9)
        return [said(t) for t in out]

    assert run(extra) == run([])
