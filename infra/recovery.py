"""The recovery folder of a lane: locked while it runs, and looked at before the engine opens it.

What is not there, cannot be read, or was made by another version or for another layout is moved aside; the lane then begins
without state, from the log or from the store (`infra/rebuild_state.py`).
"""

import fcntl
import importlib
import json
import pickle
import secrets
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

from infra.errors import Problem
from infra.lane import SLOTS
from operators.moment import Flow

STATE = 1
"""Number of the form in which slots keep their chains. Raise it with every change of that form, or of a state in `operators/`
that has no number of its own; the flows' own numbers are SCHEMA in `flows/*.py`."""
UNREADABLE = "unreadable"
"""A file that a lane leaves when it fails to read a store's state: the next start takes the state for lost."""


def versions(flows: Sequence[Flow]) -> dict[str, Any]:
    """What a stored state depends on. A state of other versions is not read."""
    numbers = {f.name: getattr(importlib.import_module(f.build.__module__), "SCHEMA", 1) for f in flows}
    return {"state": STATE, "slots": SLOTS, "engine": version("bytewax"), "models": version("river"), "flows": numbers}


class Recovery:
    """The folder of one lane. Raises Problem when another process of this machine runs that lane."""

    def __init__(self, data: Path, flows: Sequence[str], number: int, of: int) -> None:
        self.parent, self.flows, self.number, self.of = data / "lanes", "+".join(sorted(flows)), number, of
        self.folder = self.parent / f"{self.flows}-{number}-of-{of}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = (self.folder / "lock").open("w")
        except OSError as error:
            raise Problem(
                f"lane {number}/{of}: cannot write {self.folder}: {error.strerror}; check its rights, or set FOOTSTREAM_DATA"
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Problem(f"lane {number}/{of}: {self.folder} is in use; the lane runs already, stop it first") from None
        self.holder = self._id()

    @property
    def state(self) -> Path:
        """Where the engine keeps its files."""
        return self.folder / "state"

    def _id(self) -> str:
        """A name of this folder that no other has, kept in it: whoever holds the lock is the only one to use it."""
        path = self.folder / "id"
        if path.exists() and (found := path.read_text().strip()):
            return found
        made = secrets.token_hex(8)
        path.write_text(made + "\n")
        return made

    def others(self) -> list[str]:
        """Folders with a state of the same flows, made by another number of lanes. A lane that was refused left none."""
        found = self.parent.glob(f"{self.flows}-*-of-*/lane.json")
        return sorted(str(p.parent) for p in found if not p.parent.name.endswith(f"-of-{self.of}"))

    def lost(self, made: dict[str, Any]) -> str:
        """Why there is no usable state, "" when there is one. `made`: what the state must have been made for."""
        if not any(self.state.glob("*.sqlite3")):
            return "there is none"
        if (self.folder / UNREADABLE).exists():
            return (self.folder / UNREADABLE).read_text().strip() or "it could not be read"
        try:
            found = json.loads((self.folder / "lane.json").read_text())
        except (OSError, ValueError):
            return "its description lane.json is missing or damaged"
        if isinstance(found, dict) and "state" not in found:
            return "it was made by an earlier release"
        if found != made:
            keys = (
                sorted(k for k in made.keys() | found.keys() if found.get(k) != made.get(k)) if isinstance(found, dict) else []
            )
            what = "; ".join(f"{k} {found.get(k)!r}, not {made.get(k)!r}" for k in keys) or "no description"
            return f"it was made by another version or for another layout ({what})"
        return next((wrong for path in sorted(self.state.glob("*.sqlite3")) if (wrong := damage(path))), "")

    def begin(self, made: dict[str, Any], fresh: bool) -> None:
        """Note what the state is made for. `fresh`: move what is there aside, where the newest one stays for a look."""
        (self.folder / UNREADABLE).unlink(missing_ok=True)
        if fresh and self.state.exists():
            aside = self.folder / "state.lost"
            shutil.rmtree(aside, ignore_errors=True)
            self.state.rename(aside)
        draft = self.folder / "lane.new"
        draft.write_text(json.dumps(made) + "\n")
        draft.replace(self.folder / "lane.json")

    def keep_stores(self, sensors: dict[str, list[str]]) -> None:
        """Note which sensors each store has, for the next start."""
        draft = self.folder / "stores.new"
        draft.write_text(json.dumps(sensors) + "\n")
        draft.replace(self.folder / "stores.json")

    def gained(self, sensors: dict[str, list[str]]) -> set[str]:
        """Stores that have a sensor which they had not when the state was made."""
        try:
            before = json.loads((self.folder / "stores.json").read_text())
        except (OSError, ValueError):
            return set()
        return {store for store, ids in sensors.items() if set(ids) - set(before.get(store, ()))}

    def positions(self) -> tuple[dict[int, int], dict[int, int]]:
        """Positions and log times (epoch s) of the newest snapshot, by partition."""
        newest: tuple[int, Any] = (-1, {"positions": {}, "times": {}})
        for path in self.state.glob("*.sqlite3"):
            with closing(sqlite3.connect(path)) as db:
                rows = db.execute("SELECT snap_epoch, ser_change FROM snaps WHERE step_id LIKE '%.log' AND ser_change NOT NULL")
                for epoch, blob in rows:
                    newest = max(newest, (epoch, pickle.loads(blob)), key=lambda found: found[0])
        return newest[1]["positions"], newest[1]["times"]

    def cannot_read(self, why: str) -> None:
        """The next start takes the state for lost."""
        (self.folder / UNREADABLE).write_text(why + "\n")

    def poison(self) -> dict[tuple[int, int], list[Any]]:
        """Records that made an operator fail: (partition, position) -> [tries, error]."""
        try:
            found = json.loads((self.folder / "poison.json").read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return {(p, position): rest for p, position, *rest in found}

    def failed(self, at: tuple[int, int], error: str) -> int:
        """Note one more failure of a record; how many it has now."""
        known = self.poison()
        tries = known.get(at, [0, ""])[0] + 1
        known[at] = [tries, error]
        fresh = self.folder / "poison.new"
        fresh.write_text(json.dumps([[*key, *rest] for key, rest in known.items()]))
        fresh.replace(self.folder / "poison.json")
        return int(tries)


def damage(path: Path) -> str:
    """Why the engine could not go on from this file, "" when it can. Reads it whole, as the engine will."""
    try:
        with closing(sqlite3.connect(path)) as db:
            (said,) = db.execute("PRAGMA quick_check(1)").fetchone()
            if said != "ok":
                return f"{path.name} is damaged ({said})"
            positions = 0
            for step, blob in db.execute("SELECT step_id, ser_change FROM snaps WHERE ser_change IS NOT NULL"):
                pickle.loads(blob)  # our own states: what only this folder's owner can have written
                positions += step.endswith(".log")
    except sqlite3.Error as error:
        return f"{path.name} is damaged ({error})"
    except Exception as error:  # a damaged pickle may raise anything
        return f"{path.name} holds a snapshot that cannot be read ({type(error).__name__})"
    return "" if positions else "no snapshot was finished"
