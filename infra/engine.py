"""The only module that knows Bytewax: a source of batches, one stateful step keyed by permanent slots, one sink.

Four primitives are used (source partition, flat_map_batch, stateful_batch, partitioned sink), so that the engine can change
without touching a flow. The source's resume state is the position of each log partition; the sink makes everything durable in
`snapshot`, before the epoch counts. Bytewax 0.21.1: an exception in user code is a Rust panic of sixty lines, and in a sink an
abort. So every exception of ours is caught at the edge and handed to `failed`, which ends the process there and then; the state
on disk is that of the last epoch.
"""

import gc
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn, Protocol

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from infra.errors import Problem


class Source(Protocol):
    """Yields items; `positions` is what a restart goes on from."""

    def start(self, resume: Any) -> None: ...
    def poll(self) -> list[Any] | None:
        """Items, an empty list when there are none now, None at the end."""

    def position(self) -> Any: ...


class Sink(Protocol):
    def write(self, items: list[Any]) -> None: ...
    def durable(self) -> None:
        """Make everything written so far durable."""


class Slot(Protocol):
    """One permanent key's state."""

    def handle(self, items: list[Any]) -> Iterable[Any]: ...
    def snapshot(self) -> Any:
        """Immutable state."""


class Engine:
    """Runs source -> spread -> slots -> sink until the source ends. `failed` gets the first exception and never returns."""

    def __init__(
        self,
        source: Source,
        spread: Callable[[list[Any]], Iterable[tuple[str, Any]]],
        slot: Callable[[str, Any], Slot],
        sink: Sink,
        recovery: Path,
        snapshot_s: int,
        failed: Callable[[BaseException], NoReturn],
    ) -> None:
        self.source, self.spread, self.slot, self.sink = source, spread, slot, sink
        self.recovery, self.snapshot_s, self.failed = recovery, snapshot_s, failed

    def guarded(self, call: Callable[..., Any], *args: Any) -> Any:
        """Run our code; no exception of it ever reaches the engine."""
        try:
            return call(*args)
        except BaseException as error:
            self.failed(error)

    def run(self) -> None:
        """Blocks until the end of the source. Raises Problem when the disk of the recovery store is full."""
        if not any(self.recovery.glob("*.sqlite3")):
            self.recovery.mkdir(parents=True, exist_ok=True)
            init_db_dir(self.recovery, 1)
        gc.collect()
        gc.freeze()
        gc.disable()  # a lane makes millions of tuples a minute and no cycles: those of libraries are looked for apart
        try:
            cli_main(
                self._flow(),
                epoch_interval=timedelta(seconds=self.snapshot_s),
                recovery_config=RecoveryConfig(str(self.recovery)),
            )
        except RuntimeError as error:  # the engine's own code panics
            if DISK_FULL not in str(error):
                raise
            raise Problem(
                f"run: the disk of {self.recovery} is full, the state cannot be kept; make room and start the lane again: it"
                " goes on from what it kept last, nothing is lost"
            ) from None

    def _flow(self) -> Dataflow:
        flow = Dataflow("lane")
        items = op.input("log", flow, _LogSource(self))
        keyed = op.flat_map_batch("decode", items, lambda batch: self.guarded(self.spread, batch))
        out = op.stateful_batch("flows", keyed, self._logic)
        op.output("store", out, _Out(self))
        return flow

    def _logic(self, state: Any) -> "_Logic":
        return _Logic(self, state)


DISK_FULL = "DiskFull"
"""How the engine's recovery store names it."""
CYCLES_S = 1.0
"""So often young objects are looked through for cycles: all at once, at a snapshot, they held up the input for 0.2 s."""
FULL_EVERY = 60
"""Every so many snapshots all objects are."""


class _Partition(StatefulSourcePartition[Any, Any]):  # type: ignore[misc]  # untyped base
    def __init__(self, engine: Engine, resume: Any) -> None:
        self.engine = engine
        self.snapshots = 0
        self.looked_at = time.monotonic()
        engine.guarded(engine.source.start, resume)

    def next_batch(self) -> list[Any]:
        at = time.monotonic()
        if at - self.looked_at >= CYCLES_S:
            gc.collect(1)
            self.looked_at = at
        got = self.engine.guarded(self.engine.source.poll)
        if got is None:
            raise StopIteration
        return got  # type: ignore[no-any-return]

    def snapshot(self) -> Any:
        self.snapshots += 1
        if self.snapshots % FULL_EVERY == 0:
            gc.collect()  # here: a quiet sink is not asked for a snapshot, the source always is
        return self.engine.source.position()


class _LogSource(FixedPartitionedSource[Any, Any]):  # type: ignore[misc]  # untyped base
    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def list_parts(self) -> list[str]:
        return ["lane"]

    def build_part(self, step_id: str, for_part: str, resume_state: Any) -> _Partition:
        return _Partition(self.engine, resume_state)


class _Logic(StatefulBatchLogic[Any, Any, Any]):  # type: ignore[misc]  # untyped base
    """Bytewax does not tell a logic its key, so the slot is made at its first item, which carries the key."""

    def __init__(self, engine: Engine, state: Any) -> None:
        self.engine, self.saved = engine, state
        self.slot: Slot | None = None

    def on_batch(self, values: list[Any]) -> tuple[Iterable[Any], bool]:
        return self.engine.guarded(self._handle, values), False

    def _handle(self, values: list[Any]) -> Iterable[Any]:
        if self.slot is None:
            self.slot = self.engine.slot(values[0].key, self.saved)
            self.saved = None
        return self.slot.handle(values)

    def snapshot(self) -> Any:
        return self.saved if self.slot is None else self.engine.guarded(self.slot.snapshot)


class _OutPart(StatefulSinkPartition[Any, None]):  # type: ignore[misc]  # untyped base
    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def write_batch(self, items: list[Any]) -> None:
        self.engine.guarded(self.engine.sink.write, items)

    def snapshot(self) -> None:
        self.engine.guarded(self.engine.sink.durable)


class _Out(FixedPartitionedSink[Any, None]):  # type: ignore[misc]  # untyped base
    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def list_parts(self) -> list[str]:
        return ["store"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _OutPart:
        return _OutPart(self.engine)

    def part_fn(self, item_key: str) -> int:
        return 0
