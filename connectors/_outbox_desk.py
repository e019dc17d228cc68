"""What people do with alerts: silence, acknowledge, look, send again, enable a receiver. Every act is recorded with its
author."""

import sqlite3
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from connectors._outbox_file import OutboxError, OutboxFile
from connectors._outbox_rows import open_rows, transition_of
from connectors._outbox_timers import REPEAT_MS

FIELDS = ("site", "rule", "family", "subject", "severity", "fingerprint")
DAY_MS = 86_400_000
LONGEST_MS, MOST, TEXT = 30 * DAY_MS, 1000, 500


class Silence(NamedTuple):
    """A silence as it stands; times in epoch ms."""

    id: int
    matchers: dict[str, str]
    start_ms: int
    end_ms: int
    author: str
    comment: str


class Desk:
    """Acts of people. All raise OutboxError when what they ask for is not possible."""

    def __init__(self, file: OutboxFile) -> None:
        self._file = file

    def silence(self, matchers: Mapping[str, str], start_ms: int, end_ms: int, author: str, comment: str, now_ms: int) -> int:
        """No firing of the matching alerts is sent between start and end; returns its number. At most 30 days, at least one
        matcher (site, rule, family, subject, severity or fingerprint, exact)."""
        unknown = [name for name in matchers if name not in FIELDS]
        if not matchers or unknown:
            raise OutboxError(f"silence: {unknown or 'no matcher'}; give at least one of {', '.join(FIELDS)}")
        if not start_ms < end_ms or end_ms <= now_ms:
            raise OutboxError("silence: its end must lie after its start and in the future")
        if end_ms - start_ms > LONGEST_MS:
            raise OutboxError("silence: longer than 30 days; switch the rule off instead")
        if max(map(len, [*matchers.values(), author, comment])) > TEXT or not author:
            raise OutboxError(f"silence: needs an author, and texts of at most {TEXT} characters")
        with self._file.transaction() as db:
            if db.execute("SELECT count(*) FROM silence WHERE end_ms > ?", (now_ms,)).fetchone()[0] >= MOST:
                raise OutboxError(f"silence: {MOST} are in force already; end some first")
            text = msgspec.json.encode(dict(sorted(matchers.items()))).decode()
            row = db.execute(
                "INSERT INTO silence (matchers, start_ms, end_ms, author, comment, created_ms) VALUES (?, ?, ?, ?, ?, ?)",
                (text, start_ms, end_ms, author, comment, now_ms),
            )
            number = int(row.lastrowid or 0)
            self._record(db, now_ms, author, "silence", f"{number} {text} until {end_ms}")
            return number

    def end_silence(self, number: int, author: str, now_ms: int) -> None:
        """End a silence now; what it held back is looked at again at once."""
        with self._file.transaction() as db:
            ended = db.execute(
                "UPDATE silence SET end_ms = max(start_ms, ?) WHERE id = ? AND end_ms > ?", (now_ms, number, now_ms)
            )
            if not ended.rowcount:
                raise OutboxError(f"silence {number}: not in force")
            db.execute(
                "UPDATE outbox SET hold_ms = ?, silence = NULL WHERE silence = ? AND state = 'waiting'", (now_ms, number)
            )
            self._record(db, now_ms, author, "end_silence", str(number))

    def silences(self, now_ms: int) -> list[Silence]:
        """Silences in force or to come, and those that ended within seven days."""
        rows = self._file.db.execute("SELECT * FROM silence WHERE end_ms > ? ORDER BY id", (now_ms - 7 * DAY_MS,))
        return [
            Silence(r["id"], msgspec.json.decode(r["matchers"]), r["start_ms"], r["end_ms"], r["author"], r["comment"])
            for r in rows
        ]

    def acknowledge(self, fingerprint: str, author: str, now_ms: int, until_ms: int | None = None) -> None:
        """Somebody looks after it: no reminders for this episode, or none until `until_ms`."""
        if until_ms is not None and until_ms <= now_ms:
            raise OutboxError("acknowledge: its end must lie in the future")
        with self._file.transaction() as db:
            changed = db.execute(
                "UPDATE alert SET acked_by = ?, acked_ms = ?, acked_until_ms = ?, version = version + 1"
                " WHERE fingerprint = ? AND kind = 'firing'",
                (author, now_ms, until_ms, fingerprint),
            )
            if not changed.rowcount:
                raise OutboxError(f"alert {fingerprint[:40]}: not open; `footstream alerts` lists those that are")
            db.execute("UPDATE told SET repeat_ms = ? WHERE fingerprint = ? AND kind = 'firing'", (until_ms, fingerprint))
            db.execute(
                "UPDATE outbox SET state = 'superseded', ended_ms = ?, detail = 'acknowledged' WHERE dedup_key = ?"
                " AND what = 'repeat' AND state = 'waiting'",
                (now_ms, fingerprint),
            )
            self._record(db, now_ms, author, "acknowledge", fingerprint)

    def withdraw(self, fingerprint: str, author: str, now_ms: int) -> None:
        """Take an acknowledgement back: reminders go on."""
        with self._file.transaction() as db:
            found = db.execute("SELECT severity FROM alert WHERE fingerprint = ? AND acked_ms NOT NULL", (fingerprint,))
            row = found.fetchone()
            if row is None:
                raise OutboxError(f"alert {fingerprint[:40]}: not acknowledged")
            db.execute(
                "UPDATE alert SET acked_by = NULL, acked_ms = NULL, acked_until_ms = NULL, version = version + 1"
                " WHERE fingerprint = ?",
                (fingerprint,),
            )
            every = REPEAT_MS.get(row["severity"])
            if every is not None:
                db.execute(
                    "UPDATE told SET repeat_ms = ? WHERE fingerprint = ? AND kind = 'firing'", (now_ms + every, fingerprint)
                )
            self._record(db, now_ms, author, "withdraw", fingerprint)

    def alerts(self, open_only: bool = True) -> list[dict[str, Any]]:
        """Alerts with their newest state, the newest first."""
        where = "WHERE kind = 'firing'" if open_only else ""
        return [dict(r) for r in self._file.db.execute(f"SELECT * FROM alert {where} ORDER BY happened_ms DESC LIMIT 1000")]

    def receivers(self) -> list[dict[str, Any]]:
        """Receivers with what waits for them, what was given up, and how they are."""
        return [
            dict(r)
            for r in self._file.db.execute(
                "SELECT r.name, r.failures, r.failing_since_ms, r.disabled, r.sent,"
                " (SELECT count(*) FROM outbox o WHERE o.receiver = r.name AND o.state IN ('waiting', 'leased')) AS waiting,"
                " (SELECT min(created_ms) FROM outbox o WHERE o.receiver = r.name AND o.state IN ('waiting', 'leased'))"
                " AS oldest_ms, (SELECT count(*) FROM outbox o WHERE o.receiver = r.name AND o.state = 'dead') AS dead"
                " FROM receiver r ORDER BY r.name"
            )
        ]

    def dead(self, receiver: str) -> list[dict[str, Any]]:
        """The newest deliveries that were given up."""
        rows = self._file.db.execute(
            "SELECT notification_id, what, transition_id, attempts, created_ms, ended_ms, detail FROM outbox"
            " WHERE receiver = ? AND state = 'dead' ORDER BY seq DESC LIMIT 100",
            (receiver,),
        )
        return [dict(r) for r in rows]

    def replay(self, notification: str, author: str, now_ms: int) -> None:
        """Send a given-up delivery again, under its old id. A firing is refused when its episode is over."""
        with self._file.transaction() as db:
            row = db.execute("SELECT * FROM outbox WHERE notification_id = ? AND state = 'dead'", (notification,)).fetchone()
            if row is None:
                raise OutboxError(f"delivery {notification[:40]}: not among the given-up ones")
            if row["what"] in ("firing", "repeat"):
                episode = transition_of(db, row["transition_id"]).episode_id
                alert = db.execute("SELECT * FROM alert WHERE fingerprint = ?", (row["dedup_key"],)).fetchone()
                moved = alert["kind"] != "firing" or alert["episode_id"] != episode
                if moved or open_rows(db, row["receiver"], row["dedup_key"]):
                    raise OutboxError(f"delivery {notification[:40]}: its alert has moved on")
            db.execute(
                "UPDATE outbox SET state = 'waiting', hold_ms = ?, retry_ms = 0, attempts = 0, created_ms = ? WHERE seq = ?",
                (now_ms, now_ms, row["seq"]),
            )
            self._record(db, now_ms, author, "replay", notification)

    def enable(self, receiver: str, author: str, now_ms: int) -> None:
        """A disabled receiver takes part again; alerts that are open by then are told to it."""
        with self._file.transaction() as db:
            changed = db.execute(
                "UPDATE receiver SET disabled = NULL, disabled_ms = NULL, failures = 0, failing_since_ms = NULL, next_ms = 0,"
                " adopt = 1 WHERE name = ? AND disabled NOT NULL",
                (receiver,),
            )
            if not changed.rowcount:
                raise OutboxError(f"receiver {receiver[:40]}: not disabled; `footstream receivers` shows them")
            self._record(db, now_ms, author, "enable", receiver)

    def prune(self, now_ms: int) -> None:
        """Drop what nobody asks for any more: attempts after 30 days, ended deliveries after 90, transitions after 13
        months."""
        with self._file.transaction() as db:
            db.execute("DELETE FROM attempt WHERE ended_ms < ?", (now_ms - 30 * DAY_MS,))
            db.execute("DELETE FROM outbox WHERE ended_ms < ? AND state NOT IN ('waiting', 'leased')", (now_ms - 90 * DAY_MS,))
            db.execute(
                "DELETE FROM transition WHERE received_ms < ? AND transition_id NOT IN (SELECT transition_id FROM alert"
                " UNION SELECT transition_id FROM told UNION SELECT transition_id FROM outbox)",
                (now_ms - 396 * DAY_MS,),
            )
            db.execute("DELETE FROM silence WHERE end_ms < ?", (now_ms - 7 * DAY_MS,))

    def _record(self, db: sqlite3.Connection, now_ms: int, author: str, what: str, detail: str) -> None:
        db.execute("INSERT INTO action (at_ms, author, what, detail) VALUES (?, ?, ?, ?)", (now_ms, author, what, detail))
