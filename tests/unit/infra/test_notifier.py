"""Scripts of time for the notifier: a real log and outbox, an injected clock and network. Times in ms after T0."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from connectors.outbox import Desk, OutboxError, OutboxFile
from schemas.alerts import notification_id
from tests.support.alert_checker import complaints
from tests.support.alerts import T0, Bench, change, fired, receiver, resolved

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000


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
