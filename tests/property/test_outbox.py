"""Any history of alerts, faults, crashes and replays: every receiver ends with what it was promised."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from schemas.alerts import Transition
from tests.support.alert_checker import complaints
from tests.support.alerts import Bench, fired, receiver, resolved

SUBJECTS = ("a", "b", "c")
HOUR = 3_600_000


class Outbox(RuleBasedStateMachine):
    """`erp` takes every transition, `ops` the latest state only."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.bench = Bench(self.folder, receiver(), receiver(name="ops", mode="latest_state")).start()
        self.said: list[Transition] = []
        self.open: dict[str, Transition] = {}

    @rule(subject=st.sampled_from(SUBJECTS), read=st.booleans())
    def change(self, subject: str, read: bool) -> None:
        """An alert opens, or closes when it was open; low severity, so that there are no reminders."""
        self.bench.now[0] += 1
        now, one = self.bench.now[0], self.open.pop(subject, None)
        if one is None:
            self.open[subject] = fired(now, subject, severity="info")
        transition = self.open[subject] if one is None else resolved(one, now, severity="info")
        self.said.append(transition)
        self.bench.say(transition)
        if read:
            self.bench.turn()

    @rule(state=st.sampled_from(["up", "up", "down", "500", "lost", "429"]))
    def network(self, state: str) -> None:
        self.bench.wire.state = state

    @rule(seconds=st.sampled_from([1, 10, 61, 700, 7200]))
    def time_passes(self, seconds: int) -> None:
        self.bench.pass_to(self.bench.now[0] + seconds * 1000)

    @rule(which=st.sampled_from([0, 1]), delivered=st.booleans())
    def killed_during_an_attempt(self, which: int, delivered: bool) -> None:
        """The process dies after the attempt was stored: before the request, or after the receiver had it."""
        while self.bench.notifier.pump():
            pass
        sender = self.bench.notifier._senders[which]
        lease = sender._post.lease(self.bench.now[0])
        if lease is not None and delivered:
            request = sender._receiver.channel.render(lease.notice, self.bench.now[0] // 1000)
            self.bench.wire.taken.append((self.bench.now[0], sender.name, request))
        self.bench.restart()

    @precondition(lambda self: self.said)
    @rule(data=st.data())
    def replayed(self, data: st.DataObject) -> None:
        """A lane that was killed says some of it again, in order."""
        start = data.draw(st.integers(0, len(self.said) - 1))
        self.bench.say(*self.said[start:])

    def teardown(self) -> None:
        try:
            self.bench.wire.state = "up"
            self.bench.pass_to(self.bench.now[0] + 3 * HOUR)
            self.check_every_transition()
            self.check_latest_state()
            assert self.bench.notifier.due() is None, "something is still due"
        finally:
            self.bench.close()
            shutil.rmtree(self.folder)

    def check_every_transition(self) -> None:
        taken = [r for _, name, r in self.bench.wire.taken if name == "erp"]
        bodies = self.bench.wire.bodies("erp")
        messages = [(r.headers["webhook-id"], b["type"], b["data"]["dedup_key"]) for r, b in zip(taken, bodies, strict=True)]
        assert complaints(self.said, messages, "erp") == []

    def check_latest_state(self) -> None:
        """After quiet, the receiver knows as open exactly what is open."""
        known: dict[str, str] = {}
        for body in self.bench.wire.bodies("ops"):
            if body["type"] != "alert.digest":
                known[body["data"]["subject"]] = body["type"]
        assert {s for s, kind in known.items() if kind == "alert.firing"} == set(self.open)
        told = [b["data"]["episode_id"] for b in self.bench.wire.bodies("ops") if b["type"] == "alert.firing"]
        assert set(told) >= {t.episode_id for t in self.open.values()}


Outbox.TestCase.settings = settings(max_examples=25, stateful_step_count=25)
test_every_receiver_ends_with_what_it_was_promised = Outbox.TestCase
