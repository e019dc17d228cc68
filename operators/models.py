"""The contract of online models, their stored form, and how they are found.

A model scores before it learns, answers before it has data, survives NaN, gaps, zeros and clock changes, and stays within a
stated size. A quarter of an hour is scored when it closes and learnt when it leaves the horizon: two calls by the lane.

A module of `operators/` that offers models has a constant `MODELS`, a tuple of `ModelSpec`. `tests/conformance/test_models.py`
holds every one of them to this contract.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import Protocol

import msgspec

SCHEMA = 1
"""Number of the envelope's form."""
WEEK = 672
"""Quarters of an hour in a civil week."""
_MONDAY = 3 * 96
"""1970-01-01 was a Thursday: quarters from the Monday before it."""


class Point(msgspec.Struct, frozen=True, gc=False):
    """One value of a series. `start`: epoch seconds of its quarter of an hour; `slot`: quarter of the civil week, 0 is Monday
    00:00; `value`: None or NaN means not measured, which is not zero."""

    start: int
    slot: int
    value: float | None


class Evidence(msgspec.Struct, frozen=True, gc=False):
    """What a score rests on. `kind`: surge, drop, dead (zeros) or stuck (one number again and again). `slots`: how many of the
    newest slots were looked at together; `value`: their total; `low`, `high`: its usual (90 %) range."""

    kind: str
    slots: int
    value: float
    low: float
    high: float


class Score(msgspec.Struct, frozen=True, gc=False):
    """`score`: 0 usual to 1 unheard of. `expected`, `low`, `high`: what was expected of the slot and its usual (90 %) range,
    None before there is anything to expect."""

    score: float
    expected: float | None = None
    low: float | None = None
    high: float | None = None
    evidence: Evidence | None = None


class Model(Protocol):
    """One model of one series."""

    def score(self, x: Point, before: Sequence[Point] = ()) -> Score:
        """How unusual a value is. `before`: points that came since the last learnt one, oldest first. Changes nothing."""
        ...

    def learn(self, x: Point) -> None:
        """Take a value in."""
        ...

    def to_bytes(self) -> bytes:
        """The state, made by `pack`."""
        ...


class ModelSpec(msgspec.Struct, frozen=True):
    """One kind of model. `load` raises UnreadableState; `most_bytes`: what its stored state may take."""

    name: str
    fresh: Callable[[], Model]
    load: Callable[[bytes], Model]
    most_bytes: int


class UnreadableState(ValueError):
    """Stored bytes that are no state of this model, class, parameters or river version."""


class Restored(msgspec.Struct, frozen=True):
    """A usable model. `rebuild`: its state was lost, so history should be learnt again."""

    model: Model
    rebuild: bool
    reason: str = ""


class _Envelope(msgspec.Struct, array_like=True):
    schema: int
    river: str
    kind: str
    params: dict[str, float]
    blob: bytes


_DECODER = msgspec.msgpack.Decoder(_Envelope)


@lru_cache(maxsize=1)
def river_version() -> str:
    """The installed river; asked of the metadata, which does not import it."""
    return version("river")


def pack(kind: str, params: Mapping[str, float], blob: bytes) -> bytes:
    """A state with what is needed to know whether it can be read: schema, river version, class, parameters."""
    return msgspec.msgpack.encode(_Envelope(SCHEMA, river_version(), kind, dict(params), blob))


def unpack(kind: str, params: Mapping[str, float], data: bytes) -> bytes:
    """The blob of a state. Raises UnreadableState when anything about it is different."""
    try:
        found = _DECODER.decode(data)
    except msgspec.MsgspecError as error:
        raise UnreadableState(f"model {kind}: no model state ({error})") from error
    wanted = {"schema": SCHEMA, "river": river_version(), "kind": kind, "params": dict(params)}
    for name, value in wanted.items():
        if getattr(found, name) != value:
            raise UnreadableState(f"model {kind}: {name} is {getattr(found, name)!r}, this version needs {value!r}")
    return found.blob


def restore(spec: ModelSpec, data: bytes) -> Restored:
    """The model of a stored state, or a fresh one that asks to be rebuilt from history."""
    try:
        return Restored(spec.load(data), rebuild=False)
    except UnreadableState as error:
        return Restored(spec.fresh(), rebuild=True, reason=str(error))


def slot_of(local: int) -> int:
    """Quarter of the civil week of a wall clock (`calendar.local_start`: seconds that carry no zone)."""
    return (local // 900 + _MONDAY) % WEEK


def discover() -> dict[str, ModelSpec]:
    """All kinds of models in `operators/`, by name. Raises ValueError when two share a name."""
    package = importlib.import_module("operators")
    found: dict[str, ModelSpec] = {}
    for entry in sorted(pkgutil.iter_modules(package.__path__), key=lambda e: e.name):
        for spec in getattr(importlib.import_module(f"operators.{entry.name}"), "MODELS", ()):
            if spec.name in found:
                raise ValueError(f"two models are named {spec.name!r}")
            found[spec.name] = spec
    return found
