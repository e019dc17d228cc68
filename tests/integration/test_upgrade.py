"""This program on what an earlier release left: its tables, log and recovery folders, as packed in `tests/upgrade/`.

The archive was made by commit 2ee0ec2 from the first half of `book()`: `migrate`, `run all --until-end`, then `backup` and its
folder `lanes`.
"""

import shutil
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

from infra.backup import read_manifest
from infra.stores import open_store
from tests.chaos.ledger import SIZES
from tests.chaos.upkeep import cut, differ, environment, words_of
from tests.support.ledger import Ledger, System, ledger, system
from tests.support.store import StoreProcess

ARCHIVE = Path(__file__).parents[1] / "upgrade" / "release-0.1.0.tar.xz"


def book() -> Ledger:
    return ledger(SIZES["mini"][0], 0.15, 3)


def test_nothing_of_an_earlier_release_is_lost_when_this_one_goes_on(store_process: StoreProcess, tmp_path: Path) -> None:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    left, sent = tmp_path / "release-0.1.0", book()
    with system(store_process, tmp_path, sent) as fresh:
        fresh.take(sent.records)
        settings = replace(
            fresh.settings,
            data=tmp_path / "upgraded",
            log_url="",
            topic_prefix=read_manifest(left).prefix,
            store_database=f"{fresh.settings.store_database}_upgraded",
        )
        of = System(settings)
        try:
            of.command("restore", str(left))
            shutil.copytree(left / "lanes", settings.data / "lanes")
            other = subprocess.run(words_of(0, 2), env=environment(settings), capture_output=True, text=True, timeout=60)
            assert other.returncode == 1 and "`footstream lanes --to 2`" in other.stderr
            cut(of)  # else the lane would read the log once more, which any release could
            of.append(sent.records[len(sent.records) // 2 :])
            run = subprocess.run(words_of(0, 1), env=environment(settings), capture_output=True, text=True, timeout=120)
            assert run.returncode == 0 and "made by an earlier release" in run.stderr
            assert "from the observations" in run.stderr
            of.command("repair")
            of.command("audit")
            wrong = differ(fresh, of)
            assert not wrong, "\n".join(wrong)
        finally:
            of.close()
            admin = open_store(replace(settings, store_database="default"))
            admin.command(f"DROP DATABASE {settings.store_database} SYNC")
            admin.close()
