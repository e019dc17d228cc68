"""What the end of a lane does with rows that no table takes."""

from typing import Any

from connectors.clickhouse import BadRow
from infra.lane import Lane
from infra.sink import StoreSink
from infra.slots import Result
from operators.moment import Output
from schemas.rows import Quarantine, SiteMinutes
from schemas.tables import Table


class Picky:
    """A store that refuses rows whose first value is `bad`; it keeps the others."""

    def __init__(self) -> None:
        self.rows: dict[str, list[tuple[Any, ...]]] = {}

    def insert(self, table: type[Table], rows: list[tuple[Any, ...]]) -> list[BadRow]:
        self.rows.setdefault(table.name, []).extend(r for r in rows if r[0] != "bad")
        return [BadRow(r, "not a number") for r in rows if r[0] == "bad"]


class NoLog:
    """A log that nothing is written to."""


def test_a_row_that_the_store_refuses_is_kept_in_quarantine_and_the_others_are_stored() -> None:
    store, counted = Picky(), []
    sink = StoreSink(Lane(), store, NoLog(), 0.5, "run-0", lambda table, number, rows: counted.append((table, number)))  # type: ignore[arg-type]  # stand-ins
    rows = [("shop", 60), ("bad", 120)]
    sink.write([Result(Output({SiteMinutes.name: rows}, []), [], True)])
    sink.durable()
    assert store.rows[SiteMinutes.name] == [("shop", 60)]
    kept = dict(zip(Quarantine.columns, store.rows[Quarantine.name][0], strict=True))
    assert (kept["reason"], kept["partial"], kept["payload"]) == ("row_refused", 1, "('bad', 120)")
    assert (Quarantine.name, 1) in counted
