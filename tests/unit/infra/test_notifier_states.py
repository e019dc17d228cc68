"""What the notifier tells after an outage, again and again, and while somebody wants to hear nothing."""

from pathlib import Path

import msgspec
import pytest

import infra.commands.notify as commands
from connectors.outbox import Desk, OutboxError
from infra.errors import Problem
from tests.support.alerts import T0, Bench, fired, receiver, resolved

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000


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
