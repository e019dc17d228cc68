"""This program on what an earlier release left: its tables, log and recovery folders, as packed in `tests/upgrade/`.

The archive was made by commit 2ee0ec2 from the first half of what `book()` was then: `migrate`, `run all --until-end`, then
`backup` and its folder `lanes`. What that simulator sent stands in its log, whatever today's sends.
"""

import shutil
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

from msgspec import structs

from connectors.log import RAW, NewRecord, open_log
from infra.backup import read_manifest
from infra.stores import open_store
from tests.chaos.ledger import SIZES
from tests.chaos.upkeep import cut, differ, environment, words_of
from tests.support.ledger import Ledger, System, ledger, system
from tests.support.logs import read_all
from tests.support.store import StoreProcess

ARCHIVE = Path(__file__).parents[1] / "upgrade" / "release-0.1.0.tar.xz"


def book() -> Ledger:
    """Without the sensors over zones, which that release's simulator did not have: its lane called none of them silent."""
    made = ledger(SIZES["mini"][0], 0.15, 3)
    chain = made.chain
    later = {s.entry.id for sensors in chain.sensors.values() for s in sensors if s.floor}
    for shop in chain.shops.values():
        devices = {name: entry for name, entry in shop.site.devices.items() if name not in later}
        chain.shops[shop.site.id] = structs.replace(shop, site=structs.replace(shop.site, devices=devices, plan=""))
    return Ledger(chain, [sent for sent in made.sent if sent.device not in later])


def recorded(of: System) -> list[NewRecord]:
    """What a restored log holds, in the order of its arrival."""
    log = open_log(of.settings.log(), of.settings.topic_prefix)
    rows = sorted(read_all(log, RAW), key=lambda row: (row[2], row[0], row[1]))
    log.close()
    return [NewRecord(key, value, at, headers) for _, _, at, key, value, headers in rows]


def test_nothing_of_an_earlier_release_is_lost_when_this_one_goes_on(store_process: StoreProcess, tmp_path: Path) -> None:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    left, sent = tmp_path / "release-0.1.0", book()
    with system(store_process, tmp_path, sent) as fresh:
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
            first = recorded(of)
            cut(of)  # else the lane would read the log once more, which any release could
            second = [r for r in sent.records if r.timestamp > first[-1].timestamp]
            assert len(first) > 80 and len(second) > 80
            fresh.take([*first, *second])
            of.append(second)
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
