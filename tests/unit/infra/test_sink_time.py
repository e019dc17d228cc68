"""What the sink says of the store's time, and of its own."""

from collections.abc import Sequence
from typing import Any

from connectors.log import Log
from connectors.sqlite_log import SqliteLog
from infra.lane import BEHIND_FLUSHES, Lane, flush_due
from infra.sink import StoreSink
from infra.slots import Mark, Result
from operators.moment import Output
from schemas.rows import Progress
from schemas.tables import Table


class Kept:
    """A store that keeps what it is given."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Any]] = {}

    def insert(self, table: type[Table], rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        self.rows.setdefault(table.name, []).extend(rows)
        return []


def test_the_stored_time_of_a_partition_never_goes_back_when_the_log_is_out_of_order(tmp_path: Any) -> None:
    log: Log = SqliteLog(f"sqlite:///{tmp_path / 'log'}", "t.")
    log.ensure_topic("raw", 1)
    store = Kept()
    sink = StoreSink(Lane(), store, log, 0.5, "run-0", lambda *_: None)  # type: ignore[arg-type]  # all that it uses
    for seq, (end, log_ms) in enumerate([(10, 5_000_000), (20, 1_000_000)], 1):
        sink.write([Result(Output({}, []), [Mark(seq, 1, 0, end, log_ms)])])
        sink.durable()
    assert [row[1:4] for row in store.rows[Progress.name]] == [(0, 10, 5_000_000), (0, 20, 5_000_000)]
    log.close()


def test_a_lane_knows_while_rows_are_on_their_way_into_the_store_and_then_flushes_half_as_often(tmp_path: Any) -> None:
    log: Log = SqliteLog(f"sqlite:///{tmp_path / 'log'}", "t.")
    log.ensure_topic("raw", 1)
    lane, seen = Lane(), []

    class Watched(Kept):
        def insert(self, table: type[Table], rows: Sequence[tuple[Any, ...]]) -> list[Any]:
            seen.append(lane.storing)
            return super().insert(table, rows)

    sink = StoreSink(lane, Watched(), log, 0.5, "run-0", lambda *_: None)  # type: ignore[arg-type]  # all that it uses
    sink.write([Result(Output({}, []), [Mark(1, 1, 0, 10, 5_000_000)])])
    sink.durable()
    assert seen == [True] and not lane.storing
    assert [flush_due(0.3, 0.5, storing, False) for storing in (False, True)] == [True, False]
    assert flush_due(0.5, 0.5, True, False)
    assert not flush_due(0.5, 0.5, False, True) and flush_due(0.5 * BEHIND_FLUSHES, 0.5, True, True)
    log.close()
