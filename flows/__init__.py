"""One file per flow, each with a docstring, a FLOW constant, SAMPLE and EXPECTED; found by walking this folder."""

import importlib
import pkgutil
from collections.abc import Iterable
from functools import cache

from operators.moment import Flow


@cache
def discovered() -> dict[str, Flow]:
    """All flows by name."""
    found = {}
    for module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
        flow = getattr(importlib.import_module(f"flows.{module}"), "FLOW", None)
        if flow is not None:
            found[flow.name] = flow
    return found


def ordered(names: Iterable[str]) -> list[Flow]:
    """The flows of those names with everything they build on, each after what it needs; `all` means all.

    Raises KeyError with the name that does not exist.
    """
    known, out = discovered(), []

    def visit(name: str) -> None:
        flow = known[name]
        for earlier in flow.after:
            visit(earlier)
        if flow not in out:
            out.append(flow)

    for name in names:
        for one in sorted(known) if name == "all" else [name]:
            visit(one)
    visit("ingest")
    out.sort(key=lambda f: f.name != "ingest")
    return out
