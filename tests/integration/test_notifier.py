"""The notifier as a process, killed at seeded moments, with receivers that fail: nothing lost, no new id, order kept (I4)."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

import connectors.webhook
from connectors.log import TRANSITIONS, NewRecord
from connectors.sqlite_log import SqliteLog
from infra.notifier import Notifier
from infra.receivers import load_receivers
from schemas.alerts import Transition, notification_id
from tests.support.alert_checker import Message, complaints
from tests.support.alerts import fired, resolved
from tests.support.receiver import SECRET, Receiver

ROOT = Path(__file__).parents[2]


def faulty(rng: random.Random) -> str | None:
    """A tenth of the answers is wrong in some way."""
    return rng.choice(["500"] * 4 + ["drop"] * 5 + ["429"]) if rng.random() < 0.1 else None


def messages(receiver: Receiver) -> list[Message]:
    return [(p.headers["webhook-id"], p.json["type"], p.json["data"]["dedup_key"]) for p in receiver.taken]


def episodes(number: int, subjects: int = 12) -> list[Transition]:
    """Alternating firing and resolved over some alerts, all happening now; too unimportant for reminders."""
    out: list[Transition] = []
    now = time.time_ns() // 1_000_000
    for i in range(number // 2):
        one = fired(now + i * 10, f"door {i % subjects}", severity="info", site=f"store {i % 5}", decided_ms=now)
        out += [one, resolved(one, now + i * 10 + 5, severity="info")]
    return sorted(out, key=lambda t: t.happened_ms)


def records(transitions: list[Transition]) -> list[NewRecord]:
    return [NewRecord(t.site, msgspec.json.encode(t), t.decided_ms) for t in transitions]


def configure(folder: Path, **urls: str) -> Path:
    (folder / "secret").write_text(SECRET)
    text = ""
    for name, url in urls.items():
        kind = "slack" if name.startswith("slack") else "webhook"
        (folder / f"{name}.url").write_text(url)
        text += f'[receivers.{name}]\nkind = "{kind}"\nurl_file = "{name}.url"\nallow_private = true\n'
        text += "" if kind == "slack" else 'secret_file = "secret"\n'
    path = folder / "receivers.toml"
    path.write_text(text)
    return path


class Process:
    """The notifier's process; `kill` is kill -9 and waits until it is gone."""

    def __init__(self, folder: Path, receivers: Path, mutant: str = "") -> None:
        self.folder, self.receivers, self.mutant, self.starts = folder, receivers, mutant, 0

    def start(self) -> None:
        self.starts += 1
        command = [
            sys.executable,
            "-m",
            "tests.support.notifier_process",
            str(self.folder),
            str(self.receivers),
            str(self.starts),
        ]
        environment = {**os.environ, "MUTANT": self.mutant, "PYTHONPATH": str(ROOT)}
        with (self.folder / "process.log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n", (self.folder / "process.log").read_text()

    def kill(self, number: int = signal.SIGKILL) -> int:
        self.process.send_signal(number)
        code = self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@contextmanager
def running(folder: Path, receivers: Path, mutant: str = "") -> Iterator[Process]:
    process = Process(folder, receivers, mutant)
    process.start()
    try:
        yield process
    finally:
        if process.process.poll() is None:
            process.kill()


def killed_run(folder: Path, seed: int, kills: int, number: int, mutant: str = "") -> tuple[list[Transition], Receiver]:
    """Transitions while the notifier is killed again and again; then quiet. Returns what was said and who got it."""
    print(f"seed {seed}: {kills} kills, {number} transitions")
    rng, said = random.Random(seed), episodes(number)
    receiver = Receiver(faults=faulty, seed=seed)
    log = SqliteLog(f"sqlite:///{folder / 'log'}")
    log.ensure_topic(TRANSITIONS, 3)
    writer, pace = log.writer(), number // (kills + 1) + 1
    with running(folder, configure(folder, erp=receiver.url), mutant) as process:
        for start in range(0, number, pace):
            part = said[start : start + pace]
            for i in range(0, len(part), 5):
                writer.append_many(TRANSITIONS, records(part[i : i + 5]))
            receiver.arrived.wait(rng.uniform(0.0, 0.15))
            time.sleep(rng.uniform(0.0, 0.25))  # the moment of the kill is the test's seed, nothing is waited for
            if process.starts <= kills:
                process.kill()
                process.start()
        wanted = {notification_id(t.transition_id, "erp") for t in said}
        try:
            receiver.wait(
                lambda: wanted <= {p.headers["webhook-id"] for p in receiver.taken}, 3.0 if mutant else 30.0 + number / 20
            )
        except AssertionError:
            assert mutant, complaints(said, messages(receiver), "erp")
        assert process.kill(signal.SIGTERM) == 0
    receiver.close()
    writer.close()
    return said, receiver


def test_killed_twelve_times_it_loses_nothing_makes_no_new_id_and_keeps_the_order(tmp_path: Path) -> None:
    said, receiver = killed_run(tmp_path, seed=20, kills=12, number=360)
    assert complaints(said, messages(receiver), "erp") == []
    repeats = len(receiver.taken) - len(said)
    print(f"{len(receiver.posts)} posts, {repeats} repeats under old ids")
    assert repeats <= 0.1 * len(said) + 13  # lost answers (5 %) and one in flight for each kill
    assert {p.answer for p in receiver.posts} <= {"ok", "drop", "500", "429"}


def test_the_checker_notices_an_outbox_outside_the_transaction(tmp_path: Path) -> None:
    said, receiver = killed_run(tmp_path, seed=21, kills=6, number=200, mutant="outside")
    assert any(c.startswith("lost") for c in complaints(said, messages(receiver), "erp"))


@contextmanager
def in_this_process(folder: Path, receivers: Path) -> Iterator[SqliteLog]:
    """A notifier in threads of this process, with the real clock."""
    log = SqliteLog(f"sqlite:///{folder / 'log'}")
    log.ensure_topic(TRANSITIONS, 2)
    notifier, stop = Notifier(log, folder / "notify.sqlite", load_receivers(receivers, {}), seed=1), threading.Event()
    notifier.start()
    thread = threading.Thread(target=notifier.run, args=(stop,))
    thread.start()
    try:
        yield log
    finally:
        stop.set()
        thread.join(20)
        notifier.close()
        log.close()


def say(log: SqliteLog, *transitions: Transition) -> None:
    writer = log.writer()
    writer.append_many(TRANSITIONS, records(list(transitions)))
    writer.close()


def test_a_transition_reaches_a_webhook_within_two_seconds_however_slow_another_receiver_is(tmp_path: Path) -> None:
    slow, quick = Receiver(faults=lambda _: "slow", slow_s=3.0), Receiver()
    with in_this_process(tmp_path, configure(tmp_path, slow=slow.url, quick=quick.url)) as log:
        for i in range(3):
            begin = time.time()
            say(log, *episodes(2, subjects=1 + i)[:1])
            count = i + 1
            quick.wait(lambda count=count: len(quick.taken) == count)  # type: ignore[misc]
            took = quick.taken[-1].at - begin
            assert took < 2.0, took
    slow.close()
    quick.close()


def test_slack_gets_what_it_takes_and_its_wish_to_wait_is_kept(tmp_path: Path) -> None:
    receiver = Receiver("slack", slack_gap_s=1.0)
    now = time.time_ns() // 1_000_000
    with in_this_process(tmp_path, configure(tmp_path, slack=receiver.url)) as log:
        say(log, *[fired(now, f"<!channel> & {i}", site=f"s{i}", family="security", severity="info") for i in range(3)])
        receiver.wait(lambda: len(receiver.taken) == 3)
    receiver.close()
    assert {p.answer for p in receiver.posts} == {"ok"}
    assert all("blocks" in p.json for p in receiver.taken)


def _refused(receiver: Receiver) -> Callable[[], bool]:
    return lambda: any(p.answer == "401" for p in receiver.posts)


def test_the_receiver_notices_a_skipped_signature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connectors.webhook, "sign", lambda *_: "v1,")
    receiver = Receiver()
    with in_this_process(tmp_path, configure(tmp_path, erp=receiver.url)) as log:
        say(log, *episodes(2)[:1])
        receiver.wait(_refused(receiver))
    receiver.close()
    assert receiver.taken == []


def test_a_redirect_to_loopback_is_not_followed_and_410_is_the_end(tmp_path: Path) -> None:
    moved, gone, good = Receiver(faults=lambda _: "301"), Receiver(faults=lambda _: "410"), Receiver()
    with in_this_process(tmp_path, configure(tmp_path, moved=moved.url, gone=gone.url, good=good.url)) as log:
        say(log, *episodes(2)[:1])
        good.wait(lambda: {p.json["type"] for p in good.taken} == {"alert.firing", "delivery.problem"})
        moved.wait(lambda: len(moved.posts) >= 1)
        say(log, *episodes(4, subjects=2)[2:3])
        good.wait(lambda: len(good.taken) == 3)
    for receiver in (moved, gone, good):
        receiver.close()
    assert len(gone.posts) == 1
    assert all(json.loads(p.body) for p in moved.posts)  # the POST itself, never a GET of the new place
