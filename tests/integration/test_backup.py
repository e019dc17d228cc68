"""A copy is made while a lane works, restored into an empty deployment, and the lanes go on: the tables are the same."""

import json
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.outbox import OutboxFile
from infra.backup import backup, read_manifest, restore
from infra.errors import Problem
from infra.settings import Settings
from infra.stores import open_store, writer_password
from tests.chaos.upkeep import cut, differ, environment, words_of
from tests.integration.test_lane_faults import small
from tests.support.ledger import System, system
from tests.support.store import StoreProcess


def quiet(_: str) -> None:
    pass


def elsewhere(of: System, folder: Path) -> Settings:
    """An empty deployment beside that one, with the same topics' names and registry."""
    settings = replace(of.settings, data=folder / "restored", store_database=f"{of.settings.store_database}_restored")
    return replace(settings, log_url="" if of.settings.log().startswith("sqlite:") else of.settings.log())


def drop(settings: Settings) -> None:
    admin = open_store(replace(settings, store_database="default"))
    admin.command(f"DROP DATABASE IF EXISTS {settings.store_database} SYNC")
    admin.close()


def test_a_copy_of_a_busy_deployment_goes_on_elsewhere_and_gives_the_same_tables(
    store_process: StoreProcess, tmp_path: Path
) -> None:
    book = small()
    half = len(book.records) // 2
    with system(store_process, tmp_path, book) as reference, system(store_process, tmp_path, book) as busy:
        reference.take(book.records)
        busy.append(book.records[:half])
        busy.command("run", "all", "--until-end")
        cut(busy)  # so that the state elsewhere has to come from the observations
        OutboxFile(busy.settings.data / "notify.sqlite").close()
        busy.append(book.records[half:])
        with subprocess.Popen(words_of(0, 1), env=environment(busy.settings), stderr=subprocess.DEVNULL) as lane:
            time.sleep(1.0)
            busy.command("backup", str(tmp_path / "copy"))
            lane.wait(60)
        made = read_manifest(tmp_path / "copy")
        assert made.outbox is not None and set(made.log) == {"raw", "transitions"} and sum(made.positions.values()) >= half
        settings = elsewhere(busy, tmp_path)
        try:
            fresh = System(settings)
            fresh.command("restore", str(tmp_path / "copy"))
            said = subprocess.run(words_of(0, 1), env=environment(settings), capture_output=True, text=True, timeout=120)
            assert said.returncode == 0 and "rebuilding it from the observations" in said.stderr
            fresh.command("repair")
            fresh.command("audit")
            OutboxFile(settings.data / "notify.sqlite").close()
            wrong = differ(reference, fresh)
            assert not wrong, "\n".join(wrong)
            assert "exists; restore into an empty deployment" in _refused(settings, tmp_path / "copy")
            fresh.close()
        finally:
            drop(settings)


def _refused(settings: Settings, folder: Path) -> str:
    with pytest.raises(Problem) as said:
        restore(settings, folder, quiet)
    return str(said.value)


def test_a_copy_that_was_changed_is_not_one_or_belongs_to_another_log_is_refused(
    store_settings: Settings, tmp_path: Path
) -> None:
    settings = replace(store_settings, data=tmp_path / "here", store_password=writer_password(store_settings))
    folder = tmp_path / "copy"
    backup(settings, folder, quiet)
    with pytest.raises(Problem, match="exists; name a folder that does not"):
        backup(settings, folder, quiet)
    assert "that `footstream backup` made" in _refused(settings, tmp_path / "nothing")
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "positions": {"3": 500}}))
    other = replace(settings, data=tmp_path / "other", log_url=f"sqlite:///{tmp_path / 'another'}")
    assert "this is not its log" in _refused(other, folder)
    (folder / "manifest.json").write_text(json.dumps({**manifest, "format": 99}))
    assert "is newer" in _refused(settings, folder)
    part = manifest["tables"][0]
    (folder / "tables").mkdir(exist_ok=True)
    (folder / "tables" / "x").write_bytes(b"changed")
    part["parts"] = [{"path": "tables/x", "crc": 1, "rows": 1}]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert "is not what was written" in _refused(settings, folder)


def test_a_table_that_is_not_empty_is_never_restored_into(store_settings: Settings, tmp_path: Path) -> None:
    settings = replace(store_settings, data=tmp_path / "here", store_password=writer_password(store_settings))
    store = open_store(settings)
    store.command("INSERT INTO progress_rows VALUES ('raw', 0, 0, 0)")
    store.close()
    backup(settings, tmp_path / "copy", quiet)
    assert "table progress" in _refused(replace(settings, data=tmp_path / "new"), tmp_path / "copy")
