"""The faults of `make chaos-full`: a function with `@fault(…)` in any file of this folder is one, found by walking it.

A function gets a `Bench`, makes the fault happen, and notes in `wrong` what must not be and in `figures` what was seen. An
exception fails it, too.
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from infra.settings import Settings
from tests.chaos.stage import Size, Stage

USUAL = Size()


@dataclass
class Bench:
    """Where a fault happens. `folder`: an empty one. `say` gets a line of progress."""

    seed: int
    folder: Path
    say: Callable[[str], None]
    wrong: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def stage(
        self,
        size: Size = USUAL,
        log_url: str = "",
        proxied: bool = False,
        changed: Callable[[Settings], Settings] = lambda settings: settings,
    ) -> Stage:
        """A chain at work; see `tests.chaos.stage.Stage`."""
        return Stage(size, self.seed, log_url, self.folder / "stage", self.say, proxied, changed)

    def prove(self, stage: Stage) -> None:
        """Everything that must hold after any fault."""
        stage.prove()
        self.wrong += stage.wrong
        keep = ("messages", "stored_rows", "kills", "drained_s", "posts", "mib")
        self.figures |= {name: stage.result[name] for name in keep if name in stage.result}


class Fault(NamedTuple):
    """`number` as in the table, `what` happens, `must` hold."""

    number: str
    what: str
    must: str
    run: Callable[[Bench], None]


_FOUND: list[Fault] = []


def fault(number: str, what: str, must: str) -> Callable[[Callable[[Bench], None]], Callable[[Bench], None]]:
    """Register the function as a fault; several may have one number."""

    def register(run: Callable[[Bench], None]) -> Callable[[Bench], None]:
        _FOUND.append(Fault(number, what, must, run))
        return run

    return register


def faults() -> list[Fault]:
    """All of them, by number."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f"{__name__}.{module.name}")
    return sorted(_FOUND, key=lambda f: int(f.number[1:]))
