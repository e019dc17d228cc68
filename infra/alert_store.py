"""The newest transition of each alert, asked of the store: what the notifier needs when the log no longer holds it."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Protocol

from schemas.alerts import CONFIRMED, FIRED, RESOLVED, Transition, transition_id

NEWEST = (
    "SELECT * FROM transitions ORDER BY fingerprint, onset DESC, happened DESC, kind = 'resolved' DESC LIMIT 1 BY fingerprint"
)


class Queries(Protocol):
    """What is needed of `connectors.clickhouse.Store`."""

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]: ...


def newest_transitions(store: Queries) -> Iterable[Transition]:
    """One transition for each alert. The table keeps whole seconds and no family: the rule's name stands for it."""
    return [_transition(row) for row in store.query(NEWEST)]


def transitions_of(store: Queries, site: str) -> Iterable[Transition]:
    """Everything that is kept of one store's alerts."""
    return [_transition(r) for r in store.query("SELECT * FROM transitions AS t WHERE t.site = {site:String}", {"site": site})]


def _transition(row: dict[str, Any]) -> Transition:
    fields = {name: row[name] for name in Transition.__struct_fields__ if name in row}
    return Transition(
        **{
            **fields,
            "family": row.get("family", row["rule"]),
            "ordinal": _ordinal(row["transition_id"], row["episode_id"], row["kind"]),
            "happened_ms": _ms(row["happened"]),
            "onset_ms": _ms(row["onset"]),
            "backfilled": bool(row["backfilled"]),
        }
    )


def _ordinal(number: str, episode: str, kind: str) -> int:
    """The ordinal is part of the id's hash, so the id tells it."""
    for ordinal in (FIRED, CONFIRMED, RESOLVED):
        if transition_id(episode, kind, ordinal) == number:
            return ordinal
    return RESOLVED if kind == "resolved" else FIRED


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
