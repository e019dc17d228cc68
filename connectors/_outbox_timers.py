"""Messages that come by themselves: reminders, digests, words about delivery; and what a message says."""

import sqlite3

from connectors._outbox_rows import Target, open_rows, transition_of
from connectors.channel import Item, Notice
from schemas.alerts import notification_id

HOUR = 3_600_000
REPEAT_MS = {"critical": HOUR, "warning": 4 * HOUR}
"""Time between reminders of an open alert that nobody acknowledged, by severity (reliability.md 2.5)."""
REPEATS = 24
LISTED = 20


def add_repeats(db: sqlite3.Connection, target: Target, now_ms: int) -> None:
    """Reminders that are due, each a notification of its own."""
    due = db.execute("SELECT * FROM told WHERE receiver = ? AND repeat_ms <= ?", (target.name, now_ms)).fetchall()
    for told in due:
        alert = db.execute("SELECT * FROM alert WHERE fingerprint = ?", (told["fingerprint"],)).fetchone()
        still = alert is not None and alert["kind"] == "firing" and alert["episode_id"] == told["episode_id"]
        if still and _reminds(alert, told) and not open_rows(db, target.name, told["fingerprint"]):
            _add_repeat(db, target, told, now_ms)
        db.execute(
            "UPDATE told SET repeat_ms = NULL WHERE receiver = ? AND fingerprint = ?", (target.name, told["fingerprint"])
        )


def _reminds(alert: sqlite3.Row, told: sqlite3.Row) -> bool:
    """The end of an acknowledgement makes no reminder that there would not have been without it."""
    return alert["severity"] in REPEAT_MS and told["repeats"] < REPEATS


def _add_repeat(db: sqlite3.Connection, target: Target, told: sqlite3.Row, now_ms: int) -> None:
    t, number = transition_of(db, told["transition_id"]), told["repeats"] + 1
    group = f"{t.site}|{t.family}|{t.severity}" if target.groups else t.fingerprint
    key = notification_id(f"{t.transition_id}/repeat/{number}", target.name)
    db.execute(
        "INSERT OR IGNORE INTO outbox (notification_id, receiver, dedup_key, what, transition_id, repeat, grp, created_ms,"
        " hold_ms) VALUES (?, ?, ?, 'repeat', ?, ?, ?, ?, ?)",
        (key, target.name, t.fingerprint, t.transition_id, number, group, now_ms, now_ms),
    )


def next_repeat(db: sqlite3.Connection, row: sqlite3.Row, severity: str, now_ms: int) -> int | None:
    """When a reminder follows this message; None: never, or not before somebody takes back an acknowledgement."""
    every = REPEAT_MS.get(severity)
    if row["what"] == "resolved" or every is None or row["repeat"] >= REPEATS:
        return None
    alert = db.execute("SELECT * FROM alert WHERE fingerprint = ?", (row["dedup_key"],)).fetchone()
    if alert is not None and alert["acked_ms"] is not None:
        return None if alert["acked_until_ms"] is None else max(now_ms + every, alert["acked_until_ms"])
    return now_ms + every


def digest_wanted(db: sqlite3.Connection, receiver: str) -> str | None:
    """Transition of the first alert that waits for a digest, None when there is none or a digest waits already."""
    first = db.execute(
        "SELECT transition_id FROM outbox WHERE receiver = ? AND state = 'digest' AND digest IS NULL ORDER BY seq LIMIT 1",
        (receiver,),
    ).fetchone()
    return None if first is None or open_rows(db, receiver, "digest") else str(first["transition_id"])


def add_digest(db: sqlite3.Connection, receiver: str, now_ms: int, wait_ms: int) -> None:
    """A digest row when alerts were opened and closed without being told."""
    first = digest_wanted(db, receiver)
    if first is not None:
        db.execute(
            "INSERT INTO outbox (notification_id, receiver, dedup_key, what, transition_id, grp, created_ms, hold_ms)"
            " VALUES (?, ?, 'digest', 'digest', ?, 'digest', ?, ?) ON CONFLICT (notification_id) DO UPDATE SET"
            " state = 'waiting', attempts = 0, retry_ms = 0, created_ms = excluded.created_ms, hold_ms = excluded.hold_ms",
            (notification_id(f"digest/{first}", receiver), receiver, first, now_ms, now_ms + wait_ms),
        )


def add_ops(db: sqlite3.Connection, receiver: str, key: str, now_ms: int, text: str) -> None:
    """A word about delivery itself. `key` makes its id."""
    db.execute(
        "INSERT OR IGNORE INTO outbox (notification_id, receiver, dedup_key, what, transition_id, grp, text, created_ms,"
        " hold_ms) VALUES (?, ?, 'ops', 'ops', '', 'ops', ?, ?, ?)",
        (notification_id(f"ops/{key}", receiver), receiver, text, now_ms, now_ms),
    )


def notice_of(db: sqlite3.Connection, receiver: str, rows: list[sqlite3.Row]) -> Notice:
    """The message that these rows make."""
    first = rows[0]
    number, at_ms, plain = first["notification_id"], first["created_ms"], any(row["plain"] for row in rows)
    if first["what"] == "ops":
        return Notice(number, "ops", (), at_ms, text=first["text"], plain=plain)
    if first["what"] == "digest":
        items, more = _digest_members(db, receiver, first)
        return Notice(number, "digest", items, at_ms, more, plain=plain)
    listed = [
        Item(row["notification_id"], row["what"], transition_of(db, row["transition_id"]), row["repeat"])
        for row in rows[:LISTED]
    ]
    return Notice(number, "alerts", tuple(listed), at_ms, len(rows) - len(listed), plain=plain)


def _digest_members(db: sqlite3.Connection, receiver: str, row: sqlite3.Row) -> tuple[tuple[Item, ...], int]:
    """Alerts opened and closed without being told, and how many more: fixed at the first attempt."""
    if row["attempts"] == 0:
        db.execute(
            "UPDATE outbox SET digest = ? WHERE receiver = ? AND state = 'digest' AND digest IS NULL", (row["seq"], receiver)
        )
    where = "FROM outbox WHERE receiver = ? AND state = 'digest' AND digest = ?"
    found = db.execute(f"SELECT * {where} ORDER BY seq LIMIT {LISTED}", (receiver, row["seq"])).fetchall()
    number = db.execute(f"SELECT count(*) {where}", (receiver, row["seq"])).fetchone()[0]
    items = tuple(Item(r["notification_id"], "firing", transition_of(db, r["transition_id"])) for r in found)
    return items, number - len(items)
