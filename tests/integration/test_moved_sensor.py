"""A sensor that the registry gives to another store counts there from that moment on; copies are told apart over the move."""

import json
import subprocess
from pathlib import Path

from infra.settings import Settings
from tests.chaos.ledger import EVERYTHING, compare
from tests.chaos.upkeep import environment, words_of
from tests.integration.test_lane_faults import small
from tests.support.ledger import Ledger, System, system
from tests.support.store import StoreProcess

WITHOUT = ("devices", "transitions", "repairs", "duplicates")
"""Counters of messages go on with the sensor, and copies of what it said before the move are known to be copies; in a system
that read everything in one go the new store's flows have not heard the sensor before."""


def give(settings: Settings, device: str, site: str, since: int) -> None:
    """An entry for a sensor in another store's file."""
    assert settings.sites is not None
    path = settings.sites / f"{site}.toml"
    stamp = subprocess.run(
        ["date", "-u", "-d", f"@{since}", "+%Y-%m-%dT%H:%M:%SZ"], capture_output=True, text=True
    ).stdout.strip()
    path.write_text(f'{path.read_text()}\n[[devices]]\nid = "{device}"\nfrom = {stamp}\n')


def run(of: System) -> str:
    done = subprocess.run(words_of(0, 1), env=environment(of.settings), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stderr


def plan(book: Ledger) -> tuple[str, str, int, int]:
    """A sensor, the store that gets it, from when, and how many records come before."""
    owner = book.chain.sites[0]
    device = next(d.id for d in owner.devices.values() if any(s.device == d.id and s.windows for s in book.sent))
    at = len(book.sent) // 2
    return device, book.chain.sites[1].id, int(book.sent[at].at), at


def test_a_sensor_that_moved_counts_in_its_new_store_as_in_a_fresh_system(store_process: StoreProcess, tmp_path: Path) -> None:
    book = small()
    device, site, since, at = plan(book)
    with system(store_process, tmp_path, book) as fresh, system(store_process, tmp_path, book) as moved:
        give(fresh.settings, device, site, since)
        fresh.take(book.records)
        moved.append(book.records[:at])
        run(moved)
        give(moved.settings, device, site, since)
        moved.append(book.records[at:])
        assert "1 stores were given sensors" in run(moved)
        moved.command("repair")
        names = [n for n in EVERYTHING if n not in WITHOUT]
        wrong = compare({n: fresh.table(n) for n in names}, {n: moved.table(n) for n in names})
        assert not wrong, "\n".join(wrong)
        assert set(fresh.table("duplicates")) <= set(moved.table("duplicates"))
        there = moved.store.query("SELECT DISTINCT site FROM observations WHERE device = {d:String}", {"d": device})
        assert len(there) == 2 and site in {r["site"] for r in there}
        assert json.loads((moved.settings.data / "lanes" / "all-0-of-1" / "stores.json").read_text())[site].count(device) == 1
