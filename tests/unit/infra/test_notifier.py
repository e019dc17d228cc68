"""Scripts of time for the notifier: a real log and outbox, an injected clock and network. Times in ms after T0."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from connectors.outbox import Desk, OutboxError
from schemas.alerts import notification_id
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

    values = [b"\xff", b"{}", b'{"transition_id": 5}', b"[" * 5000]
    bench.writer.append_many(TRANSITIONS, [NewRecord("oslo", value, T0) for value in values])
    bench.say(fired(T0))
    bench.turn()
    assert bench.notifier.refused == 4 and len(bench.wire.taken) == 1
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
    from infra.errors import Problem

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
