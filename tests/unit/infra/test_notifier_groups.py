"""Messages of several alerts, and what the notifier does when its log, its outbox or a thread of its own fails."""

import sqlite3
import threading
from itertools import pairwise
from pathlib import Path

import pytest

from connectors.outbox import Desk, OutboxFile
from infra.errors import Problem
from tests.support.alerts import T0, Bench, fired, receiver, resolved

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000


def slack(tmp_path: Path) -> Bench:
    return Bench(tmp_path, receiver("slack", "ops")).start()


def test_alerts_of_a_group_wait_ten_seconds_and_come_in_one_message_then_every_minute(tmp_path: Path) -> None:
    bench = slack(tmp_path)
    for i in range(25):
        bench.say(fired(T0 + i * 100, f"door {i}"))
    bench.pass_to(T0 + 9_999)
    assert bench.wire.taken == []
    bench.pass_to(T0 + 11_000)
    assert [at - T0 for at, _, _ in bench.wire.taken] == [10_000]
    text = bench.wire.bodies()[0]["text"]
    assert "door 19" in text and "door 20" not in text and text.endswith("+5 more")
    assert len({block["block_id"] for block in bench.wire.bodies()[0]["blocks"] if "block_id" in block}) == 20
    bench.say(fired(T0 + 12_000, "late"))
    bench.pass_to(T0 + 5 * MINUTE)
    assert [at - T0 for at, _, _ in bench.wire.taken] == [10_000, 70_000]
    bench.close()


def test_security_alerts_do_not_wait_for_their_group(tmp_path: Path) -> None:
    bench = slack(tmp_path)
    bench.say(fired(T0, family="security"))
    bench.turn()
    assert [at - T0 for at, _, _ in bench.wire.taken] == [0]
    bench.close()


def test_slack_gets_at_most_one_message_a_second(tmp_path: Path) -> None:
    bench = slack(tmp_path)
    bench.say(*[fired(T0, "x", site=f"store {i}") for i in range(5)])
    bench.pass_to(T0 + MINUTE)
    times = [at for at, _, _ in bench.wire.taken]
    assert len(times) == 5 and all(b - a >= 1000 for a, b in pairwise(times))
    bench.close()


def test_blocks_that_slack_refuses_go_once_more_as_plain_text(tmp_path: Path) -> None:
    bench = slack(tmp_path)
    bench.say(fired(T0))
    bench.wire.state = "400"
    bench.pass_to(T0 + HOUR // 2)
    first, second = (request.body for _, _, request in bench.wire.posts)
    assert b"blocks" in first and b"blocks" not in second
    assert Desk(bench.notifier.file).receivers()[0]["dead"] == 1
    bench.close()


def test_a_second_notifier_of_the_same_outbox_is_refused(bench: Bench) -> None:
    other = Bench(bench.folder)
    with pytest.raises(Problem, match="another notifier"):
        other.start()
    other.writer.close()


def test_positions_that_the_log_dropped_are_made_up_for_by_the_store(bench: Bench) -> None:
    """The log kept nothing of the time away: the store says that `a` was resolved and `b` has opened."""
    from connectors.log import PositionGone

    a, b = fired(T0, "a"), fired(T0 + 1, "b")
    bench.say(a)
    bench.turn()
    bench.latest = (resolved(a, T0 + 2), b)

    class Gone:
        def poll(self, *_: object) -> list[object]:
            raise PositionGone("position 1 is gone")

        def close(self) -> None:
            """Nothing to close."""

    bench.notifier._reader = Gone()  # type: ignore[assignment]
    bench.pass_to(T0 + MINUTE)
    assert sorted(bench.wire.kinds()) == [("alert.firing", "a"), ("alert.firing", "b"), ("alert.resolved", "a")]


def test_a_log_that_was_made_anew_is_read_from_its_begin_and_tells_nothing_twice(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    before = [fired(T0 + i, f"door {i}") for i in range(5)]
    bench.say(*before)
    bench.turn()
    bench.notifier.close()
    bench.make_the_log_anew()
    bench.start()
    bench.say(before[0], fired(T0 + 9, "after"))
    bench.pass_to(T0 + MINUTE)
    assert bench.wire.kinds()[5:] == [("alert.firing", "after")]
    assert capsys.readouterr().err.count("is gone") == 1 and bench.notifier.health()["ok"]


def test_the_log_of_the_role_says_once_why_a_receiver_takes_nothing_and_when_it_does_again(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.wire.state = "500"
    bench.say(fired(T0))
    bench.pass_to(T0 + MINUTE)
    bench.wire.state = "up"
    bench.pass_to(T0 + HOUR // 2)
    assert [line for line in capsys.readouterr().err.splitlines() if "erp" in line] == [
        "notify: receiver erp: status 500; its messages wait and go again",
        "notify: receiver erp: takes messages again",
    ]


def test_a_fault_in_one_receivers_thread_does_not_end_it(bench: Bench) -> None:
    (sender,) = bench.notifier._senders
    real, failed, sent, stop = sender.step, threading.Event(), threading.Event(), threading.Event()

    def step() -> bool:
        if not failed.is_set():
            failed.set()
            raise RuntimeError("a disk that answers nonsense")
        done = real()
        if bench.wire.taken:
            sent.set()
        return done

    sender.step = step  # type: ignore[method-assign]
    bench.say(fired(T0))
    thread = threading.Thread(target=bench.notifier.run, args=(stop,))
    thread.start()
    try:
        assert sent.wait(10)
    finally:
        stop.set()
        thread.join(20)


def test_an_outbox_of_the_version_before_is_brought_up_to_date(tmp_path: Path) -> None:
    OutboxFile(tmp_path / "notify.sqlite").close()
    with sqlite3.connect(tmp_path / "notify.sqlite") as db:
        db.execute("ALTER TABLE outbox DROP COLUMN refusals")
        db.execute("PRAGMA user_version = 1")
    bench = Bench(tmp_path, receiver()).start()
    bench.say(fired(T0))
    bench.turn()
    assert len(bench.wire.taken) == 1
    bench.close()
