"""What more than one door of the outbox needs: its configuration, and questions to its tables."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from schemas.alerts import Transition

_decode = msgspec.json.Decoder(Transition).decode


@dataclass(frozen=True)
class Policy:
    """How messages are held together, in milliseconds (reliability.md 2.5). `late_ms`: a decision that old when it is read
    comes from an outage: it waits a moment for what followed."""

    group_wait_ms: int = 10_000
    group_interval_ms: int = 60_000
    digest_wait_ms: int = 60_000
    late_ms: int = 120_000


@dataclass(frozen=True)
class Target:
    """A receiver, as the outbox sees it. `latest`: only the newest state of an alert is told; `groups`: several alerts in one
    message; `gap_ms`: least time between two messages."""

    name: str
    wants: Callable[[Transition], bool]
    latest: bool = False
    groups: bool = False
    gap_ms: int = 0


def transition_of(db: sqlite3.Connection, transition_id: str) -> Transition:
    """A stored transition."""
    row = db.execute("SELECT value FROM transition WHERE transition_id = ?", (transition_id,)).fetchone()
    return _decode(row["value"])


def silenced_until(db: sqlite3.Connection, t: Transition, now_ms: int) -> tuple[int, int] | None:
    """(end, id) of the silence that ends last among those in force for that alert, None without one."""
    found = db.execute("SELECT id, matchers, end_ms FROM silence WHERE start_ms <= ? AND end_ms > ?", (now_ms, now_ms))
    ends = [(int(row["end_ms"]), int(row["id"])) for row in found if matches(row["matchers"], t)]
    return max(ends, default=None)


def matches(matchers: str, t: Transition) -> bool:
    """Every matcher (name of a field -> its exact text) holds."""
    return all(getattr(t, name) == text for name, text in msgspec.json.decode(matchers).items())


def open_rows(db: sqlite3.Connection, receiver: str, dedup_key: str) -> list[sqlite3.Row]:
    return db.execute(
        "SELECT * FROM outbox WHERE receiver = ? AND dedup_key = ? AND state IN ('waiting', 'leased') ORDER BY seq",
        (receiver, dedup_key),
    ).fetchall()


def told_firing(db: sqlite3.Connection, receiver: str, fingerprint: str) -> bool:
    row = db.execute("SELECT kind FROM told WHERE receiver = ? AND fingerprint = ?", (receiver, fingerprint)).fetchone()
    return row is not None and row["kind"] == "firing"


def may_be_told(row: sqlite3.Row) -> bool:
    """The receiver may have this firing: it is on its way, or an attempt ended without an answer."""
    return row["what"] == "firing" and (row["state"] == "leased" or bool(row["doubt"]))


def supersede(db: sqlite3.Connection, row: sqlite3.Row, told_anyway: bool, now_ms: int) -> None:
    """A waiting row is not sent any more; one that is on its way ends by itself."""
    if row["state"] != "waiting":
        return
    if row["doubt"] and row["what"] == "firing":
        maybe_told(db, row, now_ms)
    unseen = row["what"] == "firing" and not told_anyway and not row["doubt"]
    state = "digest" if unseen else "superseded"
    db.execute("UPDATE outbox SET state = ?, ended_ms = ? WHERE seq = ?", (state, now_ms, row["seq"]))


def maybe_told(db: sqlite3.Connection, row: sqlite3.Row, now_ms: int) -> None:
    """Count a firing without an answer as told: its resolve has to follow."""
    episode = transition_of(db, row["transition_id"]).episode_id
    db.execute(
        "INSERT OR REPLACE INTO told (receiver, fingerprint, episode_id, kind, transition_id, at_ms)"
        " VALUES (?, ?, ?, 'firing', ?, ?)",
        (row["receiver"], row["dedup_key"], episode, row["transition_id"], now_ms),
    )
