"""Merging drops older copies of rows and changes nothing that anybody reads."""

from pathlib import Path

from connectors.clickhouse import Store
from connectors.log import RAW
from connectors.sqlite_log import SqliteLog
from infra.compact import compact, shrink
from schemas.rows import Progress
from tests.support.logs import record


def test_copies_of_rows_go_and_the_views_say_the_same(store: Store) -> None:
    for position in (5, 9, 7):
        store.insert(Progress, [(RAW, 0, position, position)])
    seen = store.query("SELECT * FROM progress")
    said: list[str] = []
    before, after = compact(store, said.append)
    assert before - after == 2 and store.query("SELECT * FROM progress") == seen and seen[0]["position"] == 9
    assert said == ["progress tuple(): 3 parts"]
    assert compact(store, said.append)[1] == after and len(said) == 1


def test_free_pages_of_the_log_go_back_to_the_disk(tmp_path: Path) -> None:
    log = SqliteLog(f"sqlite:///{tmp_path}", clock=lambda: 4e9)
    log.ensure_topic(RAW, 1, 3600)
    writer = log.writer()
    writer.append_many(RAW, [record(i, size=2000) for i in range(2000)])
    writer.close()
    log.keeper().retain()
    assert shrink(tmp_path) > 1 << 20
    assert log.bounds(RAW) == {0: (2000, 2000)}
