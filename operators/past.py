"""What the store still knows of a time for which a flow has no state any more: a flow with `seed` begins from it."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import msgspec

from operators.drift import Factors
from schemas.alerts import Transition


class Past(msgspec.Struct):
    """One store before `begin`, a reset (epoch seconds). All of it was decided before.

    `factors`: those frozen at `begin`. `quarters`: (start, people in as they were known when the quarter was learnt; None: not
    measured), in order; empty when nothing was reported before `begin`. `hours`: the same for civil hours of each line, by
    device and number; ("", 0) is the store. `scores`: the newest anomaly scores, oldest first.
    `scored`: start of the quarter of the newest one, 0 for none. `transitions`: the newest one of each alert, by (rule,
    subject). `heard`: device -> time up to which it counts as heard, epoch s.
    """

    begin: int
    factors: Factors = msgspec.field(default_factory=Factors)
    quarters: Sequence[tuple[int, float | None]] = ()
    hours: Mapping[tuple[str, int], Sequence[tuple[int, float | None]]] = {}
    scores: Sequence[float] = ()
    scored: int = 0
    transitions: Mapping[tuple[str, str], Transition] = {}
    heard: Mapping[str, int] = {}


@runtime_checkable
class Seeded(Protocol):
    """A flow that can begin from what the store knows. One that cannot begins empty."""

    def seed(self, past: Past) -> None:
        """Take in what was before `past.begin`. Called once, on a fresh flow."""


class Agrees(Protocol):
    """A flow that wants to see what was said last, after the reports since `begin` were played to it."""

    def agree(self, said: Mapping[tuple[str, str], Transition]) -> None: ...


__all__ = ["Agrees", "Past", "Seeded"]
