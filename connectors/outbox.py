"""The notifier's outbox: what has to be told to whom, and what has been. One SQLite file, one notifier.

Delivery: at least once to each receiver; a repeat has the same notification id. Unit of parallelism: a receiver; one message
in flight for a receiver and alert, in order. Back pressure: none, rows wait on disk. Lost: nothing: the state of an alert, its
transition, the rows for the receivers and the position in the log are one transaction, and every timer is a stored due time.

Three doors to the same file: `Intake` takes transitions in, `Post` hands out messages and takes the endings, `Desk` is for
people (silence, acknowledge, list, replay). States of a row: `waiting`, `leased`; ended: `sent`, `dead` (given up), `digest`
(opened and closed without being told), `superseded` (a newer row says it), `moot` (a resolve for somebody who was never told).
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from connectors._outbox_desk import Desk, Silence
from connectors._outbox_file import OutboxError, OutboxFile, encode
from connectors._outbox_post import Lease, Post
from connectors._outbox_rows import (
    Policy,
    Target,
    may_be_told,
    open_rows,
    silenced_until,
    supersede,
    told_firing,
    transition_of,
)
from schemas.alerts import Transition, notification_id

__all__ = ["Desk", "Intake", "Lease", "OutboxError", "OutboxFile", "Policy", "Post", "Silence", "Target"]


_ALERT = (
    "fingerprint", "episode_id", "transition_id", "kind", "onset_ms", "ordinal", "happened_ms", "backfilled", "site", "rule",
    "family", "subject", "severity",
)  # fmt: skip
_OF_EPISODE = ("acked_by", "acked_ms", "acked_until_ms")
_SET_ALERT = (
    f"INSERT INTO alert ({', '.join(_ALERT)}) VALUES ({', '.join(f':{name}' for name in _ALERT)}) ON CONFLICT DO UPDATE SET "
    + "".join(f"{name} = iif(episode_id = excluded.episode_id, {name}, NULL), " for name in _OF_EPISODE)
    + "backfilled = iif(episode_id = excluded.episode_id, backfilled AND excluded.backfilled, excluded.backfilled), "
    + "".join(f"{name} = excluded.{name}, " for name in _ALERT if name != "backfilled")
    + "version = version + 1"
)


class Intake:
    """Takes transitions in. `outcomes`: how many ended as `new`, `duplicate`, `old` or `backfilled`."""

    def __init__(self, file: OutboxFile, targets: Sequence[Target], policy: Policy | None = None) -> None:
        self._file, self._targets, self._policy = file, tuple(targets), policy or Policy()
        self.outcomes: dict[str, int] = dict.fromkeys(("new", "duplicate", "old", "backfilled"), 0)

    def cursor(self, topic: str) -> dict[int, int]:
        """Next position of each partition; empty when nothing was ever read."""
        rows = self._file.db.execute("SELECT partition, position FROM cursor WHERE topic = ?", (topic,))
        return {row["partition"]: row["position"] for row in rows}

    def take(
        self,
        transitions: Iterable[Transition],
        topic: str,
        positions: Mapping[int, int],
        now_ms: int,
        history: bool = False,
    ) -> None:
        """Transitions in order of the log, with the positions after them, in one transaction.

        `history`: they happened before there was an outbox; nothing is sent but what is still open (`adopt`). Raises
        OutboxError.
        """
        outcomes: dict[str, int] = {}
        with self._file.transaction() as db:
            for t in transitions:
                outcome = self._one(db, t, now_ms, history)
                outcomes[outcome] = outcomes.get(outcome, 0) + 1
            self._move(db, topic, positions)
        for outcome, number in outcomes.items():
            self.outcomes[outcome] += number

    def adopt(self, now_ms: int) -> None:
        """Tell receivers what they were not told, of open alerts and of those that have closed since: new receivers, those that
        were away, those enabled again."""
        with self._file.transaction() as db:
            for target in self._targets:
                db.execute("INSERT OR IGNORE INTO receiver (name) VALUES (?)", (target.name,))
                row = db.execute("SELECT adopt, disabled FROM receiver WHERE name = ?", (target.name,)).fetchone()
                if row["disabled"] is None:
                    self._adopt(db, target, now_ms, again=bool(row["adopt"]))
                    db.execute("UPDATE receiver SET adopt = 0 WHERE name = ?", (target.name,))

    def adopt_enabled(self, now_ms: int) -> None:
        """`adopt`, when a person has enabled a receiver meanwhile."""
        if self._file.db.execute("SELECT 1 FROM receiver WHERE adopt AND disabled IS NULL").fetchone() is not None:
            self.adopt(now_ms)

    def begin_anew(self, topic: str, positions: Mapping[int, int]) -> None:
        """Read these partitions from there, also backwards: their log is another one now. What was taken stays known."""
        with self._file.transaction() as db:
            db.executemany("INSERT OR REPLACE INTO cursor VALUES (?, ?, ?)", [(topic, *at) for at in positions.items()])

    def _move(self, db: sqlite3.Connection, topic: str, positions: Mapping[int, int]) -> None:
        db.executemany(
            "INSERT INTO cursor VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET position = max(position, excluded.position)",
            [(topic, partition, position) for partition, position in positions.items()],
        )

    def _one(self, db: sqlite3.Connection, t: Transition, now_ms: int, history: bool) -> str:
        stored = (t.transition_id, t.fingerprint, now_ms, encode(t))
        new = db.execute("INSERT OR IGNORE INTO transition VALUES (NULL, ?, ?, ?, ?)", stored).rowcount
        if not new:
            return "duplicate"
        before = db.execute("SELECT * FROM alert WHERE fingerprint = ?", (t.fingerprint,)).fetchone()
        if before is not None and _older(t, before):
            return "old"
        _set_alert(db, t)
        if t.kind == "resolved":
            for target in self._targets:
                self._resolved(db, target, t, now_ms)
        elif not t.backfilled and not history and not _same_open(before, t):
            for target in self._targets:
                if target.wants(t):
                    self._fired(db, target, t, now_ms)
        return "backfilled" if t.backfilled else "new"

    def _fired(self, db: sqlite3.Connection, target: Target, t: Transition, now_ms: int) -> None:
        if _disabled(db, target.name):
            return
        if target.latest:
            for row in open_rows(db, target.name, t.fingerprint):
                supersede(db, row, told_anyway=False, now_ms=now_ms)
        self._add(db, target, t, now_ms)

    def _resolved(self, db: sqlite3.Connection, target: Target, t: Transition, now_ms: int, again: bool = False) -> None:
        """A row for those who were told or may have been; a firing that nobody was told of goes to the digest."""
        if _disabled(db, target.name):
            return
        rows = open_rows(db, target.name, t.fingerprint)
        told = told_firing(db, target.name, t.fingerprint) or any(may_be_told(row) for row in rows)
        collapse = target.latest or silenced_until(db, t, now_ms) is not None
        waits = False
        for row in rows:
            if collapse or row["what"] == "repeat":
                supersede(db, row, told, now_ms)
            waits |= row["what"] == "firing" and not collapse
        if told or waits:
            self._add(db, target, t, now_ms, again)

    def _add(self, db: sqlite3.Connection, target: Target, t: Transition, now_ms: int, again: bool = False) -> None:
        group = f"{t.site}|{t.family}|{t.severity}" if target.groups else t.fingerprint
        hold, number = self._hold(db, target, group, t, now_ms), notification_id(t.transition_id, target.name)
        new = db.execute(
            "INSERT OR IGNORE INTO outbox (notification_id, receiver, dedup_key, what, transition_id, grp, created_ms, hold_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (number, target.name, t.fingerprint, t.kind, t.transition_id, group, now_ms, hold),
        ).rowcount
        if again and not new:
            db.execute(
                "UPDATE outbox SET state = 'waiting', attempts = 0, hold_ms = ?, retry_ms = 0, created_ms = ?"
                " WHERE notification_id = ? AND state = 'dead'",
                (hold, now_ms, number),
            )

    def _hold(self, db: sqlite3.Connection, target: Target, group: str, t: Transition, now_ms: int) -> int:
        """When it may go: after the group's wait or interval, at once for receivers that take alerts one by one."""
        wait = 0 if t.family == "security" else self._policy.group_wait_ms
        late = target.latest and now_ms - t.decided_ms > self._policy.late_ms
        hold = now_ms + (wait if target.groups or late else 0)
        if not target.groups:
            return hold
        found = db.execute("SELECT next_ms FROM grp WHERE receiver = ? AND grp = ?", (target.name, group)).fetchone()
        if found is not None and found["next_ms"] > now_ms:
            return int(found["next_ms"]) if wait else now_ms
        db.execute("INSERT OR REPLACE INTO grp VALUES (?, ?, ?)", (target.name, group, hold))
        return hold

    def _adopt(self, db: sqlite3.Connection, target: Target, now_ms: int, again: bool) -> None:
        """`again`: also what this receiver was given up for."""
        for missed in self._missed(db, target):
            self._resolved(db, target, missed, now_ms, again)
        for alert in db.execute("SELECT * FROM alert WHERE kind = 'firing' AND NOT backfilled").fetchall():
            t = transition_of(db, alert["transition_id"])
            told = db.execute(
                "SELECT 1 FROM told WHERE receiver = ? AND fingerprint = ? AND episode_id = ? AND kind = 'firing'",
                (target.name, t.fingerprint, t.episode_id),
            ).fetchone()
            if told is None and target.wants(t) and not open_rows(db, target.name, t.fingerprint):
                self._add(db, target, t, now_ms, again)

    def _missed(self, db: sqlite3.Connection, target: Target) -> list[Transition]:
        """Alerts that closed while the receiver took no part, of which it knows the firing or has it waiting."""
        closed = db.execute(
            "SELECT a.transition_id FROM alert a WHERE a.kind = 'resolved' AND ("
            " EXISTS (SELECT 1 FROM told WHERE receiver = ?1 AND fingerprint = a.fingerprint AND kind = 'firing') OR EXISTS"
            " (SELECT 1 FROM outbox WHERE receiver = ?1 AND dedup_key = a.fingerprint AND state IN ('waiting', 'leased')))"
            " AND NOT EXISTS (SELECT 1 FROM outbox WHERE receiver = ?1 AND dedup_key = a.fingerprint AND"
            " what = 'resolved' AND transition_id = a.transition_id AND state IN ('waiting', 'leased'))",
            (target.name,),
        )
        return [transition_of(db, row["transition_id"]) for row in closed.fetchall()]


def _set_alert(db: sqlite3.Connection, t: Transition) -> None:
    """The alert's newest state. An acknowledgement holds for one episode; live once is live for the whole episode."""
    columns = {name: getattr(t, name) for name in _ALERT}
    db.execute(_SET_ALERT, columns)


def _older(t: Transition, before: sqlite3.Row) -> bool:
    """Whether the alert has moved beyond that. Onsets that came from the store are cut to whole seconds."""
    if t.episode_id == before["episode_id"]:
        return t.ordinal <= int(before["ordinal"])
    return t.onset_ms < int(before["onset_ms"])


def _same_open(before: sqlite3.Row | None, t: Transition) -> bool:
    """The same episode has fired live already: a replay may say so a second time under another ordinal."""
    return before is not None and before["episode_id"] == t.episode_id and not before["backfilled"]


def _disabled(db: sqlite3.Connection, receiver: str) -> bool:
    row = db.execute("SELECT disabled FROM receiver WHERE name = ?", (receiver,)).fetchone()
    return row is not None and row["disabled"] is not None
