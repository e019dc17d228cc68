"""Scripts of time for the notifier: a real log and outbox, an injected clock and network. Times in ms after T0."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

import infra.commands.notify as commands
from connectors.outbox import Desk, OutboxError, OutboxFile
from infra.errors import Problem
from schemas.alerts import notification_id
from tests.support.alert_checker import complaints
from tests.support.alerts import T0, Bench, change, fired, receiver, resolved

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, receiver()).start()
    yield made
    made.close()


def test_a_webhook_gets_each_change_at_once_with_its_own_id(bench: Bench) -> None:
    one = fired(T0)
    bench.say(one)
    bench.turn()
    bench.say(resolved(one, T0 + 5 * MINUTE))
    bench.pass_to(T0 + 5 * MINUTE)
    assert bench.wire.kinds() == [("alert.firing", ""), ("alert.resolved", "")]
    assert bench.wire.taken[0][0] == T0
    ids = [request.headers["webhook-id"] for _, _, request in bench.wire.taken]
    assert ids[0] == notification_id(one.transition_id, "erp") and len(set(ids)) == 2


def test_a_replayed_transition_adds_nothing(bench: Bench) -> None:
    one = fired(T0)
    bench.say(one, one)
    bench.turn()
    bench.say(one)
    bench.turn()
    assert len(bench.wire.posts) == 1
    assert bench.notifier.intake.outcomes == {"new": 1, "duplicate": 2, "old": 0, "backfilled": 0}


def test_a_second_firing_of_a_live_episode_under_another_ordinal_is_not_sent(bench: Bench) -> None:
    one = fired(T0)
    bench.say(one, change("firing", T0 + 5, T0, ordinal=1, transition_id="b" * 32))
    bench.turn()
    assert len(bench.wire.posts) == 1


def test_backfilled_transitions_are_recorded_and_never_sent(bench: Bench) -> None:
    old = fired(T0 - HOUR, backfilled=True)
    bench.say(old, resolved(old, T0 - HOUR // 2, backfilled=True))
    bench.pass_to(T0 + DAY)
    assert bench.wire.posts == []
    assert bench.notifier.intake.outcomes["backfilled"] == 2


def test_an_episode_confirmed_by_live_data_is_sent_with_its_onset(bench: Bench) -> None:
    old = fired(T0 - HOUR, backfilled=True)
    bench.say(old, change("firing", T0, T0 - HOUR, ordinal=1, transition_id="c" * 32))
    bench.turn()
    (body,) = bench.wire.bodies()
    assert body["data"]["since"] == "2026-05-28T19:26:40.000Z" and body["data"]["happened"] == "2026-05-28T20:26:40.000Z"


def test_a_resolve_on_late_data_still_reaches_those_who_were_told(bench: Bench) -> None:
    one = fired(T0)
    bench.say(one)
    bench.turn()
    bench.say(resolved(one, T0 + 60_000, backfilled=True))
    bench.pass_to(T0 + HOUR // 2)
    assert bench.wire.kinds() == [("alert.firing", ""), ("alert.resolved", "")]


def test_a_resolve_never_overtakes_its_firing_and_other_alerts_do_not_wait_for_them(bench: Bench) -> None:
    one, two = fired(T0, "a"), fired(T0 + 1, "b")
    bench.wire.state = "500"
    bench.say(one)
    bench.turn()
    bench.wire.state = "up"
    bench.say(resolved(one, T0 + 2), two)
    bench.turn()
    assert bench.wire.kinds() == [("alert.firing", "b")]
    bench.pass_to(T0 + MINUTE)
    assert bench.wire.kinds()[1:] == [("alert.firing", "a"), ("alert.resolved", "a")]


def test_retries_keep_the_id_and_renew_the_timestamp_on_the_stated_schedule(bench: Bench) -> None:
    bench.wire.state = "500"
    bench.say(fired(T0))
    bench.pass_to(T0 + 3 * HOUR)
    gaps = [(b[0] - a[0]) / 1000 for a, b in pairwise(bench.wire.posts)]
    wanted = [5, 30, 120] + [300] * 24
    assert len({request.headers["webhook-id"] for _, _, request in bench.wire.posts}) == 1
    assert len({request.headers["webhook-timestamp"] for _, _, request in bench.wire.posts}) == len(bench.wire.posts)
    for gap, want in zip(gaps, wanted, strict=False):
        assert 0.8 * want <= gap <= 1.2 * want + 0.01
    assert gaps[-1] > 1000  # every half hour by then
    assert len(set(gaps[3:20])) > 10  # spread, so that what failed together does not come back together


def test_while_a_receiver_is_down_at_most_twenty_posts_an_hour_are_made_and_all_arrives_after(bench: Bench) -> None:
    bench.wire.state = "down"
    episodes = [fired(T0 + i * MINUTE, f"door {i}") for i in range(55)]
    for one in episodes:
        bench.pass_to(one.happened_ms)
        bench.say(one)
        bench.turn()
    bench.pass_to(T0 + HOUR)
    assert len(bench.wire.posts) <= 20
    bench.wire.state = "up"
    bench.pass_to(T0 + HOUR + 6 * MINUTE)
    assert sorted(subject for _, subject in bench.wire.kinds()) == sorted(f"door {i}" for i in range(55))


def test_one_message_that_cannot_be_delivered_does_not_hold_up_the_others_for_good(bench: Bench) -> None:
    taken: list[str] = []
    poison, wire = fired(T0, "poison"), bench.wire

    def picky(*args: object) -> object:
        wire.state = "500" if b"poison" in args[1].body else "up"  # type: ignore[attr-defined]
        answer = wire(*args)  # type: ignore[arg-type]
        taken.extend(subject for _, subject in wire.kinds()[len(taken) :])
        return answer

    for sender in bench.notifier._senders:
        sender._send = picky  # type: ignore[assignment]
    bench.say(poison)
    bench.pass_to(T0 + HOUR)
    bench.say(fired(T0 + HOUR, "good"))
    bench.pass_to(T0 + HOUR + 7 * MINUTE)
    assert taken == ["good"]


def test_retry_after_wins_and_is_capped_at_an_hour(bench: Bench) -> None:
    bench.wire.state, bench.wire.headers = "429", {"retry-after": "90"}
    bench.say(fired(T0))
    bench.turn()
    assert bench.notifier.due() == T0 + 90 * SECOND
    bench.wire.headers = {"retry-after": "999999"}
    bench.pass_to(T0 + 90 * SECOND)
    assert bench.notifier.due() == T0 + 90 * SECOND + HOUR


@pytest.mark.parametrize("wish", ["0", "1"])
def test_a_receiver_that_always_says_at_once_is_not_asked_without_end(bench: Bench, wish: str) -> None:
    bench.wire.state, bench.wire.headers = "503", {"retry-after": wish}
    bench.say(fired(T0))
    bench.pass_to(T0 + HOUR)
    assert 10 <= len(bench.wire.posts) <= 25
    bench.pass_to(T0 + 6 * DAY)
    assert bench.notifier.health()["disabled"] == ["erp"]


def test_an_outage_before_a_single_404_does_not_use_up_its_tries(bench: Bench) -> None:
    bench.wire.state = "down"
    bench.say(fired(T0))
    bench.pass_to(T0 + 30 * MINUTE)
    bench.wire.state = "404"
    bench.pass_to(bench.notifier.due() or 0)
    bench.wire.state = "up"
    bench.pass_to(T0 + HOUR)
    assert [b["type"] for b in bench.wire.bodies()] == ["alert.firing"]


def test_other_4xx_get_three_tries_and_their_resolve_is_moot(bench: Bench) -> None:
    one = fired(T0)
    bench.wire.state = "422"
    bench.say(one)
    bench.pass_to(T0 + HOUR)
    assert len(bench.wire.posts) == 3
    bench.wire.state = "up"
    bench.say(resolved(one, T0 + HOUR))
    bench.pass_to(T0 + 2 * HOUR)
    assert len(bench.wire.posts) == 3
    desk = Desk(bench.notifier.file)
    (dead,) = desk.dead("erp")
    assert dead["detail"] == "status 422"
    with pytest.raises(OutboxError, match="moved on"):
        desk.replay(dead["notification_id"], "ann", T0)


def test_410_disables_the_receiver_and_another_one_is_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path, receiver(), receiver(name="crm")).start()
    bench.wire.state = "410"
    bench.say(fired(T0))
    bench.notifier.pump()
    bench.notifier._senders[0].step()
    bench.wire.state = "up"
    bench.pass_to(T0 + MINUTE)
    assert [b["type"] for b in bench.wire.bodies("erp")] == []
    assert sorted(b["type"] for b in bench.wire.bodies("crm")) == ["alert.firing", "delivery.problem"]
    assert "enable erp" in str(bench.wire.bodies("crm")) and bench.notifier.health()["disabled"] == ["erp"]
    Desk(bench.notifier.file).enable("erp", "ann", bench.now[0])
    bench.notifier._look_after()
    bench.pass_to(T0 + 2 * MINUTE)
    assert [b["type"] for b in bench.wire.bodies("erp")] == ["alert.firing"]
    bench.close()


def test_a_receiver_that_is_enabled_again_hears_that_its_open_alert_has_closed_meanwhile(bench: Bench) -> None:
    known, unknown = fired(T0, "known"), fired(T0, "unknown")
    bench.say(known)
    bench.turn()
    bench.wire.state = "410"
    bench.say(unknown)
    bench.turn()
    bench.wire.state = "up"
    bench.say(resolved(known, T0 + MINUTE), resolved(unknown, T0 + MINUTE))
    bench.pass_to(T0 + HOUR // 2)
    Desk(bench.notifier.file).enable("erp", "ann", bench.now[0])
    bench.notifier._look_after()
    bench.pass_to(T0 + HOUR)
    assert bench.wire.kinds() == [("alert.firing", "known"), ("alert.resolved", "known")]


@pytest.mark.parametrize("mode", ["every_transition", "latest_state"])
def test_a_receiver_that_was_out_of_the_file_for_a_while_keeps_no_alert_open_that_has_closed(tmp_path: Path, mode: str) -> None:
    bench = Bench(tmp_path, receiver(mode=mode)).start()
    told, waiting = fired(T0, "told"), fired(T0 + 1, "waiting")
    bench.say(told)
    bench.turn()
    bench.wire.state = "down"
    bench.say(waiting)
    bench.turn()
    back, bench.receivers = bench.receivers, ()
    bench.restart()
    assert bench.notifier.health()["waiting"] == 0 and bench.notifier.figures()["receivers"] == []
    bench.say(resolved(told, T0 + MINUTE), resolved(waiting, T0 + MINUTE))
    bench.pass_to(T0 + HOUR // 2)
    bench.wire.state, bench.receivers = "up", back
    bench.restart()
    bench.restart()
    bench.pass_to(T0 + HOUR - MINUTE)
    late = (
        [("alert.firing", "waiting"), ("alert.resolved", "waiting")] if mode == "every_transition" else [("alert.digest", "")]
    )
    assert sorted(bench.wire.kinds()[1:]) == sorted([("alert.resolved", "told"), *late])
    bench.close()


def test_five_days_of_failures_disable_a_receiver(bench: Bench) -> None:
    bench.wire.state = "down"
    bench.say(fired(T0))
    bench.pass_to(T0 + 5 * DAY - HOUR)
    assert bench.notifier.health()["disabled"] == []
    bench.pass_to(T0 + 5 * DAY + HOUR)
    assert bench.notifier.health()["disabled"] == ["erp"]


def test_a_lost_answer_is_sent_again_with_the_same_id(bench: Bench) -> None:
    bench.wire.state = "lost"
    bench.say(fired(T0))
    bench.turn()
    bench.wire.state = "up"
    bench.pass_to(T0 + MINUTE)
    ids = [request.headers["webhook-id"] for _, _, request in bench.wire.taken]
    assert len(ids) == 2 and len(set(ids)) == 1


def test_an_attempt_cut_short_by_a_crash_is_made_again_with_the_same_id(bench: Bench) -> None:
    bench.say(fired(T0))
    bench.notifier.pump()
    lease = bench.notifier._senders[0]._post.lease(T0)
    assert lease is not None
    bench.restart()
    assert bench.turn() == 1
    assert bench.wire.posts[0][2].headers["webhook-id"] == lease.notice.id


class Killed(BaseException):
    """Stands for kill -9."""


@contextmanager
def killed_at(commit: int, before: bool) -> Iterator[list[int]]:
    """The process ends just before or just after its n-th transaction is stored; yields how many are left to go."""
    left, real = [commit], OutboxFile.transaction

    @contextmanager
    def transaction(file: OutboxFile) -> Iterator[sqlite3.Connection]:
        with real(file) as db:
            yield db
            left[0] -= 1
            if before and left[0] == 0:
                raise Killed
        if left[0] == 0:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OutboxFile, "transaction", transaction)
        yield left


@pytest.mark.parametrize("before", [True, False])
def test_killed_around_any_of_its_transactions_it_loses_nothing_and_makes_no_new_id(tmp_path: Path, before: bool) -> None:
    one, other = fired(T0, "one", severity="info"), fired(T0, "other", severity="info")
    end = resolved(one, T0 + SECOND, severity="info")
    said, commit, left = [one, other, end, fired(T0 + 2 * SECOND, "one", severity="info")], 0, 0
    while left <= 0:
        commit += 1
        bench = Bench(tmp_path / str(commit), receiver()).start()
        with killed_at(commit, before) as counted, suppress(Killed):
            bench.say(one, other)
            bench.turn()
            bench.say(*said[2:])
            bench.pass_to(T0 + 3 * SECOND)
        left = counted[0]
        bench.say(*[t for t in said[2:] if counted[0] <= 0])  # what the lane says again after its own restart
        bench.restart()
        bench.pass_to(T0 + MINUTE)
        taken = [(request, msgspec.json.decode(request.body)) for _, _, request in bench.wire.taken]
        messages = [(request.headers["webhook-id"], body["type"], body["data"]["dedup_key"]) for request, body in taken]
        assert complaints(said, messages, "erp") == [], f"killed around transaction {commit}"
        assert len(messages) <= len(said) + 1
        bench.close()
    assert commit > 8


def test_the_outbox_is_on_the_disk_at_each_commit(bench: Bench) -> None:
    assert bench.notifier.file.db.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL: survives power loss


# ---- latest_state ----


def latest(tmp_path: Path, **other: object) -> Bench:
    return Bench(tmp_path, receiver(mode="latest_state"), **other).start()  # type: ignore[arg-type]


def test_latest_state_after_an_hour_down_is_one_message_an_alert_and_one_digest(tmp_path: Path) -> None:
    #  a: fired before the outage, then resolved, fired, resolved, ... ends resolved
    #  b: opens and closes 5 times meanwhile        c: opens meanwhile and is open
    bench = latest(tmp_path)
    a = fired(T0, "a")
    bench.say(a)
    bench.turn()
    bench.wire.state = "down"
    for i in range(5):
        at = T0 + (10 * i + 1) * MINUTE
        bench.pass_to(at)
        b = fired(at, "b")
        bench.say(b, resolved(a, at + 1))
        bench.pass_to(at + 5 * MINUTE)
        a = fired(at + 5 * MINUTE, "a")
        bench.say(resolved(b, at + 5 * MINUTE), a)
    c = fired(T0 + 55 * MINUTE, "c")
    bench.say(resolved(a, T0 + 55 * MINUTE), c)
    bench.pass_to(T0 + HOUR)
    assert bench.wire.kinds() == [("alert.firing", "a")]
    bench.wire.state = "up"
    bench.pass_to(T0 + 2 * HOUR - 10 * MINUTE)
    assert sorted(bench.wire.kinds()[1:]) == [("alert.digest", ""), ("alert.firing", "c"), ("alert.resolved", "a")]
    (digest,) = [b for b in bench.wire.bodies() if b["type"] == "alert.digest"]
    assert [alert["subject"] for alert in digest["data"]["alerts"]] == ["b"] * 5 and digest["data"]["more"] == 0
    bench.close()


def test_after_an_outage_of_ours_an_open_episode_is_sent_with_its_since_and_a_closed_one_goes_to_the_digest(
    tmp_path: Path,
) -> None:
    bench = latest(tmp_path)
    a, b = fired(T0, "a"), fired(T0 + MINUTE, "b")
    bench.notifier.close()
    bench.say(a, b, resolved(a, T0 + 10 * MINUTE))
    bench.now[0] = T0 + HOUR
    bench.start()
    bench.pass_to(T0 + HOUR + 5 * MINUTE)
    assert bench.wire.kinds() == [("alert.firing", "b"), ("alert.digest", "")]
    assert bench.wire.bodies()[0]["data"]["since"] == "2026-05-28T20:27:40.000Z"
    bench.close()


def test_a_firing_whose_answer_was_lost_counts_as_told_so_its_resolve_follows(tmp_path: Path) -> None:
    bench = latest(tmp_path)
    one = fired(T0)
    bench.say(one)
    bench.wire.state = "lost"
    bench.turn()
    bench.say(resolved(one, T0 + 1))
    bench.notifier.pump()
    bench.wire.state = "up"
    bench.pass_to(T0 + 10 * MINUTE)
    assert bench.wire.kinds() == [("alert.firing", ""), ("alert.resolved", "")]
    bench.close()


# ---- first start ----


def test_with_an_empty_outbox_only_open_alerts_are_sent(tmp_path: Path) -> None:
    bench = Bench(tmp_path, receiver(), latest=(fired(T0 - 20 * DAY, "store only"),))
    closed, still = fired(T0 - 2 * HOUR, "closed"), fired(T0 - HOUR, "open")
    bench.say(closed, resolved(closed, T0 - HOUR), still)
    bench.start()
    bench.pass_to(T0 + MINUTE)
    assert sorted(bench.wire.kinds()) == [("alert.firing", "open"), ("alert.firing", "store only")]
    bench.restart()
    bench.say(resolved(still, T0 + 2 * MINUTE))
    bench.pass_to(T0 + 3 * MINUTE)
    assert bench.wire.kinds()[2:] == [("alert.resolved", "open")]
    bench.close()


def test_a_new_receiver_is_told_what_is_open(tmp_path: Path) -> None:
    bench = Bench(tmp_path).start()
    bench.say(fired(T0, "a"))
    bench.turn()
    bench.notifier.close()
    bench.receivers = (receiver(),)
    bench.start()
    bench.pass_to(T0 + MINUTE)
    assert bench.wire.kinds() == [("alert.firing", "a")]
    bench.close()


def test_filters_choose_by_store_rule_and_severity(tmp_path: Path) -> None:
    only = receiver(sites=("os*",), rules=("capacity",), severities=("critical",))
    bench = Bench(tmp_path, only).start()
    wrong = [fired(T0, "x", site="bergen"), fired(T0, "x", rule="silent"), fired(T0, "y", severity="info")]
    bench.say(*wrong, fired(T0, "right"))
    bench.turn()
    assert bench.wire.kinds() == [("alert.firing", "right")]
    bench.close()


def test_what_is_no_transition_is_counted_and_skipped(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    from connectors.log import TRANSITIONS, NewRecord

    huge = msgspec.json.encode(fired(T0)).replace(b'"happened_ms":', b'"happened_ms":99999999999999999999')
    values = [b"\xff", b"{}", b'{"transition_id": 5}', b"[" * 5000, huge, huge.replace(b"9" * 20, b"9" * 6)]
    bench.writer.append_many(TRANSITIONS, [NewRecord("oslo", value, T0) for value in values])
    bench.say(fired(T0))
    bench.turn()
    assert bench.notifier.refused == 6 and len(bench.wire.taken) == 1
    assert "position 0: no transition" in capsys.readouterr().err


# ---- reminders, acknowledgement, silence ----


def hours(bench: Bench) -> list[float]:
    return [(at - T0) / HOUR for at, _, _ in bench.wire.taken]


def test_a_critical_alert_is_repeated_every_hour_until_it_is_acknowledged(bench: Bench) -> None:
    one = fired(T0)
    bench.say(one)
    bench.pass_to(T0 + 2 * HOUR + MINUTE)
    assert [b["type"] for b in bench.wire.bodies()] == ["alert.firing", "alert.repeated", "alert.repeated"]
    assert [b["data"]["repeat"] for b in bench.wire.bodies()] == [0, 1, 2]
    assert len({request.headers["webhook-id"] for _, _, request in bench.wire.taken}) == 3
    Desk(bench.notifier.file).acknowledge(one.fingerprint, "ann", bench.now[0])
    bench.pass_to(T0 + DAY)
    assert len(bench.wire.taken) == 3
    bench.say(resolved(one, T0 + DAY))
    bench.pass_to(T0 + 2 * DAY)
    assert [b["type"] for b in bench.wire.bodies()][3:] == ["alert.resolved"]


def test_a_reminder_that_failed_is_not_sent_again_once_its_alert_has_closed(bench: Bench) -> None:
    one = fired(T0)
    bench.say(one)
    bench.turn()
    post, bench.now[0] = bench.notifier._senders[0]._post, T0 + HOUR
    lease = post.lease(bench.now[0])
    assert lease is not None and lease.notice.items[0].what == "repeat"
    bench.say(resolved(one, T0 + HOUR))
    bench.notifier.pump()
    post.retry(lease, bench.now[0], "status 500")
    bench.pass_to(T0 + 2 * HOUR)
    assert [b["type"] for b in bench.wire.bodies()] == ["alert.firing", "alert.resolved"]


@pytest.mark.parametrize(("severity", "number"), [("critical", 24), ("warning", 24), ("info", 0)])
def test_reminders_end_after_24_and_info_has_none(bench: Bench, severity: str, number: int) -> None:
    bench.say(fired(T0, severity=severity))
    bench.pass_to(T0 + 9 * DAY)
    assert len(bench.wire.taken) == 1 + number


def test_an_acknowledgement_with_an_end_lets_reminders_begin_again(bench: Bench) -> None:
    one = fired(T0)
    bench.say(one)
    bench.turn()
    Desk(bench.notifier.file).acknowledge(one.fingerprint, "ann", T0, until_ms=T0 + 5 * HOUR)
    bench.pass_to(T0 + 6 * HOUR + MINUTE)
    assert hours(bench) == [0, 5, 6]


def test_the_end_of_an_acknowledgement_makes_no_reminder_that_there_would_not_have_been(bench: Bench) -> None:
    many, none = fired(T0, "critical"), fired(T0, "info", severity="info")
    bench.say(many, none)
    bench.pass_to(T0 + DAY + HOUR // 2)
    for one in (many, none):
        Desk(bench.notifier.file).acknowledge(one.fingerprint, "ann", bench.now[0], until_ms=bench.now[0] + HOUR)
    bench.pass_to(T0 + 3 * DAY)
    assert sorted(bench.wire.kinds()) == sorted(
        [("alert.firing", "critical"), ("alert.firing", "info")] + [("alert.repeated", "critical")] * 24
    )
    with pytest.raises(OutboxError, match="in the future"):
        Desk(bench.notifier.file).acknowledge(many.fingerprint, "ann", bench.now[0], until_ms=bench.now[0])


def test_silenced_alerts_that_open_and_close_go_to_the_digest_only(bench: Bench) -> None:
    desk = Desk(bench.notifier.file)
    desk.silence({"site": "oslo"}, T0, T0 + 2 * HOUR, "ann", "stocktaking", T0)
    one = fired(T0)
    bench.say(one)
    bench.pass_to(T0 + HOUR)
    bench.say(resolved(one, T0 + HOUR))
    bench.pass_to(T0 + DAY)
    assert bench.wire.kinds() == [("alert.digest", "")]


def test_an_alert_that_outlives_its_silence_is_sent_exactly_once(bench: Bench) -> None:
    Desk(bench.notifier.file).silence({"site": "oslo"}, T0, T0 + 30 * MINUTE, "ann", "", T0)
    bench.say(fired(T0))
    bench.pass_to(T0 + HOUR)
    assert hours(bench) == [0.5]


@pytest.mark.parametrize("hours", [float("nan"), float("inf"), 0.0, -1.0, 1e9])
def test_hours_that_are_no_length_of_time_are_refused_in_one_line(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, hours: float
) -> None:
    monkeypatch.setenv("FOOTSTREAM_DATA", str(bench.folder))
    with pytest.raises(Problem, match="hours; give more than 0"):
        commands.ack("x", hours, "ann")
    with pytest.raises(Problem, match="hours; give more than 0"):
        commands.silence(["site=oslo"], hours, "ann")


def test_an_acknowledgement_that_has_ended_is_not_shown(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FOOTSTREAM_DATA", str(bench.folder))
    monkeypatch.setattr(commands, "_now_ms", lambda: bench.now[0])
    one = fired(T0)
    bench.say(one)
    bench.turn()
    commands.ack(one.fingerprint, 1.0, "ann")
    commands.alerts()
    bench.now[0] += 2 * HOUR
    commands.alerts()
    assert ["ann" in line for line in capsys.readouterr().out.splitlines()] == [True, False]


def test_ending_a_silence_early_lets_go_what_it_held(bench: Bench) -> None:
    desk = Desk(bench.notifier.file)
    number = desk.silence({"rule": "capacity"}, T0, T0 + DAY, "ann", "", T0)
    bench.say(fired(T0))
    bench.pass_to(T0 + HOUR)
    assert bench.wire.taken == []
    desk.end_silence(number, "ann", bench.now[0])
    bench.turn()
    assert hours(bench) == [1]


def test_a_resolve_of_a_told_firing_is_sent_even_while_silenced(bench: Bench) -> None:
    one = fired(T0)
    bench.say(one)
    bench.turn()
    Desk(bench.notifier.file).silence({"site": "oslo"}, T0, T0 + DAY, "ann", "", T0)
    bench.say(resolved(one, T0 + 1))
    bench.turn()
    assert [b["type"] for b in bench.wire.bodies()] == ["alert.firing", "alert.resolved"]


@pytest.mark.parametrize(
    ("matchers", "end"), [({}, T0 + HOUR), ({"city": "x"}, T0 + HOUR), ({"site": "x"}, T0 - 1), ({"site": "x"}, T0 + 31 * DAY)]
)
def test_a_silence_of_everything_or_for_ever_is_refused(bench: Bench, matchers: dict[str, str], end: int) -> None:
    with pytest.raises(OutboxError, match="silence"):
        Desk(bench.notifier.file).silence(matchers, T0 - 10, end, "ann", "", T0)


# ---- groups ----


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
