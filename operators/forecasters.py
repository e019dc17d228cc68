"""The contract of models that forecast hourly counts, their spec, and how they are found.

A module of `operators/` that offers some has a constant `FORECASTERS`. `tests/conformance/test_forecasters.py` holds every one
to the contract: it answers nothing before it has data and only finite numbers afterwards, survives NaN, gaps, seasons of zeros
and clock changes, stays within its stated size, and goes on from its stored state exactly.
"""

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from operators.special_days import Calendar

LEVELS = (0.025, 0.1, 0.25, 0.75, 0.9, 0.975)
"""Points of the three central intervals, 95, 80 and 50 %."""
FARTHEST = 48
"""Hours ahead that may be asked for."""


class Band(msgspec.Struct, frozen=True, gc=False):
    """People in one hour: median, and the points of `LEVELS`. `step`: hours ahead."""

    step: int
    mean: float
    points: tuple[float, ...]


class Forecaster(Protocol):
    """One series. Hours are whole hours of the civil clock since 1970-01-01 00:00, without zone."""

    @property
    def at(self) -> int:
        """The last hour taken in; -1 before any."""

    def learn(self, hour: int, value: float | None) -> None:
        """Take the count of an hour in; None, NaN and negative: not measured. An hour that is not after the last is ignored."""

    def forecast(self, steps: Sequence[int]) -> list[Band]:
        """Bands for hours after the last one taken in, 1 to FARTHEST. Changes nothing. Empty before any count."""

    def to_bytes(self) -> bytes:
        """The state, made by `operators.models.pack`. The calendar is no part of it."""


class ForecasterSpec(msgspec.Struct, frozen=True):
    """One kind. `load` raises UnreadableState; `most_bytes`: what its stored state may take."""

    name: str
    fresh: Callable[[Calendar], Forecaster]
    load: Callable[[bytes, Calendar], Forecaster]
    most_bytes: int


def discover() -> dict[str, ForecasterSpec]:
    """All kinds in `operators/` by name. Raises ValueError when two share one."""
    found: dict[str, ForecasterSpec] = {}
    for entry in sorted(pkgutil.iter_modules(importlib.import_module("operators").__path__), key=lambda e: e.name):
        for spec in getattr(importlib.import_module(f"operators.{entry.name}"), "FORECASTERS", ()):
            if spec.name in found:
                raise ValueError(f"two forecasters are named {spec.name!r}")
            found[spec.name] = spec
    return found
