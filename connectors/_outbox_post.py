"""The sending side of the outbox: what is due, what is on its way, how it ended, when to try again.

One message at a time for a receiver and alert, in order of the log. A lease is one attempt: its rows and an `attempt` row are
stored before the request. A lease that is not ended in time, or was cut short by a crash, counts as doubtful: the message may
have arrived; it goes again under the same id.
"""

import random
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from connectors._outbox_file import OutboxFile
from connectors._outbox_rows import Policy, Target, maybe_told, open_rows, silenced_until, told_firing, transition_of
from connectors._outbox_timers import add_digest, add_ops, add_repeats, digest_wanted, next_repeat, notice_of
from connectors.channel import Notice, cut

LEASE_MS = 60_000
MEMBERS = 500
SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
_FIRST = (5 * SECOND, 30 * SECOND, 2 * MINUTE)
JITTER = 0.2
BREAKER = 5
"""Straight failures after which only one message is tried."""
EXPIRY_MS, GONE_MS = DAY, 5 * DAY
RETRY_AFTER_MS = HOUR
WISHES = 5
"""Tries of a message for which the receiver's wish to wait stands above the schedule, and is no failure. Beyond them, "again in
0 seconds" would be a loop without end."""
_OPEN = "o.receiver = ? AND o.state IN ('waiting', 'leased')"
_HEAD = (
    "NOT EXISTS (SELECT 1 FROM outbox p WHERE p.receiver = o.receiver AND p.dedup_key = o.dedup_key AND p.seq < o.seq"
    " AND p.state IN ('waiting', 'leased'))"
)


_GONE = "Receiver {name} gets no more alerts: {reason}. Mend it, then: footstream receivers --enable {name}"


def gap_ms(tries: int) -> int:
    """Wait after the `tries`-th attempt: 5 s, 30 s, 2 min, then every 5 min for 2 h, then every 30 min (before jitter)."""
    if tries <= len(_FIRST):
        return _FIRST[tries - 1]
    return 5 * MINUTE if tries <= len(_FIRST) + 25 else 30 * MINUTE


def _wish(after_ms: int) -> int:
    """A receiver's wish to wait, within reason."""
    return min(max(after_ms, SECOND), RETRY_AFTER_MS)


@dataclass(frozen=True)
class Lease:
    """One attempt. `tries`: attempts with this message, this one included. `refusals`: how often the receiver has refused it.
    `rows`: its places in the outbox."""

    token: str
    receiver: str
    notice: Notice
    tries: int
    refusals: int
    rows: tuple[int, ...]


class Post:
    """Hands out the messages of one receiver and takes their endings. `others`: receivers that hear of its failure. `rng` makes
    the jitter and the names of leases."""

    def __init__(
        self, file: OutboxFile, target: Target, rng: random.Random, policy: Policy | None = None, others: Sequence[str] = ()
    ) -> None:
        self._file, self._target, self._name, self._rng = file, target, target.name, rng
        self._policy, self._others = policy or Policy(), tuple(others)

    def lease(self, now_ms: int) -> Lease | None:
        """The next message that may go now, None when there is none."""
        with self._file.transaction() as db:
            receiver = self._receiver(db)
            if receiver["disabled"] is not None:
                return None
            self._expire(db, now_ms)
            add_repeats(db, self._target, now_ms)
            add_digest(db, self._name, now_ms, self._policy.digest_wait_ms)
            if receiver["next_ms"] > now_ms:
                return None
            rows = self._ready(db, receiver["failures"] >= BREAKER, now_ms)
            return self._leased(db, rows, now_ms) if rows else None

    def sent(self, lease: Lease, now_ms: int) -> None:
        """The receiver has it: told, its group's interval begins, the breaker closes."""
        with self._file.transaction() as db:
            rows = self._end(db, lease, now_ms, "sent", "")
            for row in rows:
                self._told(db, row, now_ms)
                self._finish(db, row, "sent", now_ms, "")
            was_open = self._receiver(db)["failures"] >= BREAKER
            db.execute(
                "UPDATE receiver SET failures = 0, failing_since_ms = NULL, next_ms = ?, sent = sent + 1 WHERE name = ?",
                (now_ms + self._target.gap_ms, self._name),
            )
            if was_open:
                db.execute(
                    "UPDATE outbox SET retry_ms = 0 WHERE receiver = ? AND state IN ('waiting', 'leased')", (self._name,)
                )

    def retry(
        self,
        lease: Lease,
        now_ms: int,
        detail: str,
        *,
        doubt: bool = False,
        after_ms: int | None = None,
        plain: bool = False,
        refused: bool = False,
    ) -> str | None:
        """Not now: again by the schedule, or after the receiver's own wish (at most an hour), or in the plain form at once.
        `refused`: counted in `Lease.refusals`.

        Returns a reason when the receiver has now failed for five days and was disabled.
        """
        with self._file.transaction() as db:
            rows = self._end(db, lease, now_ms, "doubtful" if doubt else "failed", detail)
            at = now_ms + self._wait(lease.tries, after_ms)
            if refused:
                db.execute("UPDATE outbox SET refusals = refusals + 1 WHERE lease = ? AND state = 'leased'", (lease.token,))
            for row in rows:
                self._again(db, row, now_ms if plain else at, doubt, plain, detail, now_ms)
            return None if plain or not rows else self._failed(db, now_ms, lease.tries, after_ms)

    def give_up(self, lease: Lease, now_ms: int, reason: str, disable: bool = False) -> str | None:
        """Never: the rows are kept as dead. Returns the reason when the receiver was disabled."""
        with self._file.transaction() as db:
            for row in self._end(db, lease, now_ms, "refused", reason):
                self._dead(db, row, reason, now_ms)
            return self._disable(db, reason, now_ms) if disable else None

    def recover(self, now_ms: int) -> int:
        """After a start: what was on its way when the last process ended is doubtful and due now. Returns how many."""
        with self._file.transaction() as db:
            return self._expire(db, now_ms, everything=True)

    def due(self, now_ms: int) -> int | None:
        """When `lease` should be called next (epoch ms); None: not before the file changes."""
        db = self._file.db
        receiver = self._receiver(db)
        if receiver["disabled"] is not None:
            return None
        ready = "o.hold_ms" if receiver["failures"] >= BREAKER else "max(o.hold_ms, o.retry_ms)"
        first = db.execute(
            f"SELECT min(iif(o.state = 'leased', o.lease_ms, max({ready}, ?))) FROM outbox o WHERE {_OPEN} AND {_HEAD}",
            (receiver["next_ms"], self._name),
        ).fetchone()[0]
        repeat = db.execute("SELECT min(repeat_ms) FROM told WHERE receiver = ? AND repeat_ms IS NOT NULL", (self._name,))
        digest = now_ms if digest_wanted(db, self._name) else None
        times = [t for t in (first, repeat.fetchone()[0], digest) if t is not None]
        return min(times, default=None)

    def _receiver(self, db: sqlite3.Connection) -> sqlite3.Row:
        found = db.execute("SELECT * FROM receiver WHERE name = ?", (self._name,)).fetchone()
        if found is None:
            db.execute("INSERT OR IGNORE INTO receiver (name) VALUES (?)", (self._name,))
            return self._receiver(db)
        row: sqlite3.Row = found
        return row

    def _expire(self, db: sqlite3.Connection, now_ms: int, everything: bool = False) -> int:
        rows = db.execute(
            f"SELECT * FROM outbox o WHERE {_OPEN} AND o.state = 'leased' AND (? OR o.lease_ms <= ?)",
            (self._name, everything, now_ms),
        ).fetchall()
        for row in rows:
            db.execute(
                "UPDATE attempt SET ended_ms = ?, outcome = 'crashed' WHERE lease = ? AND ended_ms IS NULL",
                (now_ms, row["lease"]),
            )
            self._again(db, row, now_ms, True, bool(row["plain"]), "no ending was recorded", now_ms)
        return len(rows)

    def _ready(self, db: sqlite3.Connection, probing: bool, now_ms: int) -> list[sqlite3.Row]:
        """The rows of the next message. While the breaker is open: the oldest one; after every fifth try another has a turn, so
        that one message that its receiver cannot take never holds up all others for good."""
        ready = "o.hold_ms <= ?" if probing else "max(o.hold_ms, o.retry_ms) <= ?"
        order = "o.what = 'digest', o.attempts / 5, o.seq" if probing else "o.seq"
        while True:
            row = db.execute(
                f"SELECT * FROM outbox o WHERE {_OPEN} AND o.state = 'waiting' AND {ready} AND {_HEAD}"
                f" ORDER BY {order} LIMIT 1",
                (self._name, now_ms),
            ).fetchone()
            if row is None:
                return []
            if not self._may_go(db, row, now_ms):
                continue
            if not self._target.groups or row["what"] in ("digest", "ops"):
                return [row]
            found = db.execute(
                f"SELECT * FROM outbox o WHERE {_OPEN} AND o.state = 'waiting' AND {ready} AND o.grp = ? AND {_HEAD}"
                f" ORDER BY o.seq LIMIT {MEMBERS}",
                (self._name, now_ms, row["grp"]),
            )
            return [member for member in found.fetchall() if self._may_go(db, member, now_ms)]

    def _may_go(self, db: sqlite3.Connection, row: sqlite3.Row, now_ms: int) -> bool:
        """False when the row was put off by a silence or ended because nobody needs it any more."""
        if row["what"] in ("digest", "ops"):
            return True
        t = transition_of(db, row["transition_id"])
        if row["what"] == "resolved":
            if told_firing(db, self._name, row["dedup_key"]):
                return True
            self._finish(db, row, "moot", now_ms, "the firing was never told")
            return False
        silence = silenced_until(db, t, now_ms)
        if silence is not None:
            db.execute("UPDATE outbox SET hold_ms = ?, silence = ? WHERE seq = ?", (*silence, row["seq"]))
        return silence is None

    def _leased(self, db: sqlite3.Connection, rows: list[sqlite3.Row], now_ms: int) -> Lease:
        token = f"{self._rng.getrandbits(64):016x}"
        tries, refusals = max(row["attempts"] for row in rows) + 1, max(row["refusals"] for row in rows)
        for row in rows:
            db.execute(
                "UPDATE outbox SET state = 'leased', attempts = attempts + 1, lease = ?, lease_ms = ? WHERE seq = ?",
                (token, now_ms + LEASE_MS, row["seq"]),
            )
            db.execute("INSERT INTO attempt (lease, outbox_seq, started_ms) VALUES (?, ?, ?)", (token, row["seq"], now_ms))
        return Lease(token, self._name, notice_of(db, self._name, rows), tries, refusals, tuple(row["seq"] for row in rows))

    def _end(self, db: sqlite3.Connection, lease: Lease, now_ms: int, outcome: str, detail: str) -> list[sqlite3.Row]:
        """Close the attempt; the rows that this lease still holds (none when it ran out meanwhile)."""
        db.execute(
            "UPDATE attempt SET ended_ms = ?, outcome = ?, detail = ? WHERE lease = ? AND ended_ms IS NULL",
            (now_ms, outcome, detail[:256], lease.token),
        )
        return db.execute("SELECT * FROM outbox WHERE lease = ? AND state = 'leased' ORDER BY seq", (lease.token,)).fetchall()

    def _finish(self, db: sqlite3.Connection, row: sqlite3.Row, state: str, now_ms: int, detail: str) -> None:
        db.execute(
            "UPDATE outbox SET state = ?, ended_ms = ?, lease = NULL, detail = ? WHERE seq = ?",
            (state, now_ms, detail[:256], row["seq"]),
        )

    def _told(self, db: sqlite3.Connection, row: sqlite3.Row, now_ms: int) -> None:
        if row["what"] in ("digest", "ops"):
            return
        t = transition_of(db, row["transition_id"])
        db.execute(
            "INSERT OR REPLACE INTO told VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self._name,
                t.fingerprint,
                t.episode_id,
                t.kind,
                t.transition_id,
                now_ms,
                next_repeat(db, row, t.severity, now_ms),
                row["repeat"],
            ),
        )
        if self._target.groups:
            db.execute(
                "INSERT OR REPLACE INTO grp VALUES (?, ?, ?)", (self._name, row["grp"], now_ms + self._policy.group_interval_ms)
            )

    def _again(
        self, db: sqlite3.Connection, row: sqlite3.Row, at: int, doubt: bool, plain: bool, detail: str, now_ms: int
    ) -> None:
        """Back to waiting, unless it is no longer worth it."""
        doubt = doubt or bool(row["doubt"])
        db.execute(
            "UPDATE outbox SET state = 'waiting', lease = NULL, retry_ms = ?, doubt = ?, plain = ?, detail = ? WHERE seq = ?",
            (at, doubt, plain or row["plain"], detail[:256], row["seq"]),
        )
        newer = [r for r in open_rows(db, row["receiver"], row["dedup_key"]) if r["seq"] > row["seq"]]
        alert_row = row["what"] in ("firing", "resolved", "repeat")
        if doubt and row["what"] == "firing" and (newer or now_ms - row["created_ms"] > EXPIRY_MS):
            maybe_told(db, row, now_ms)
        if newer and (row["what"] == "repeat" or (self._target.latest and alert_row)):
            seen = doubt or row["what"] != "firing" or told_firing(db, self._name, row["dedup_key"])
            self._finish(db, row, "superseded" if seen else "digest", now_ms, detail)
        elif now_ms - row["created_ms"] > EXPIRY_MS and (newer or not alert_row):
            self._dead(db, row, f"not delivered within a day: {detail}", now_ms)

    def _dead(self, db: sqlite3.Connection, row: sqlite3.Row, reason: str, now_ms: int) -> None:
        self._finish(db, row, "dead", now_ms, reason)
        if row["what"] == "firing" and row["doubt"]:
            maybe_told(db, row, now_ms)
        if row["what"] == "repeat":
            t = transition_of(db, row["transition_id"])
            db.execute(
                "UPDATE told SET repeats = ?, repeat_ms = ? WHERE receiver = ? AND fingerprint = ?",
                (row["repeat"], next_repeat(db, row, t.severity, now_ms), self._name, row["dedup_key"]),
            )

    def _wait(self, tries: int, after_ms: int | None) -> int:
        """Until the message goes again: as the receiver wishes, else by the schedule; after some tries the longer of both."""
        if after_ms is None:
            return round(gap_ms(tries) * self._rng.uniform(1 - JITTER, 1 + JITTER))
        return _wish(after_ms) if tries <= WISHES else max(_wish(after_ms), self._wait(tries - WISHES, None))

    def _failed(self, db: sqlite3.Connection, now_ms: int, tries: int, after_ms: int | None) -> str | None:
        """Count a failure of the receiver. Being asked to wait is none at first: it holds up everything for that long."""
        receiver = self._receiver(db)
        held = 0 if after_ms is None else _wish(after_ms)
        if held and tries <= WISHES:
            db.execute("UPDATE receiver SET next_ms = ? WHERE name = ?", (now_ms + held, self._name))
            return None
        failures, since = receiver["failures"] + 1, receiver["failing_since_ms"] or now_ms
        pause = max(held, self._wait(failures, None) if failures >= BREAKER else self._target.gap_ms)
        db.execute(
            "UPDATE receiver SET failures = ?, failing_since_ms = ?, next_ms = ? WHERE name = ?",
            (failures, since, now_ms + pause, self._name),
        )
        return self._disable(db, "it has failed for five days", now_ms) if now_ms - since > GONE_MS else None

    def _disable(self, db: sqlite3.Connection, reason: str, now_ms: int) -> str:
        """No more messages to this receiver until a person enables it; the other receivers are told."""
        db.execute("UPDATE receiver SET disabled = ?, disabled_ms = ? WHERE name = ?", (reason[:256], now_ms, self._name))
        db.execute(
            "UPDATE outbox SET state = 'dead', ended_ms = ?, lease = NULL, detail = 'receiver disabled' WHERE receiver = ?"
            " AND state IN ('waiting', 'leased')",
            (now_ms, self._name),
        )
        text = _GONE.format(name=self._name, reason=cut(reason, 100))
        for other in self._others:
            found = db.execute("SELECT disabled FROM receiver WHERE name = ?", (other,)).fetchone()
            if found is None or found["disabled"] is None:
                add_ops(db, other, f"{self._name}/{now_ms}", now_ms, text)
        return reason
