"""What a lane reads the log with: by itself, and through a process of its own while it is far behind (`infra/reader.py`).

A lane that keeps up has one process, no more memory and no further hop. One that has much to catch up with is bound by
Python's lock: reading and decoding on another core are a quarter of its time.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from connectors.log import RAW, Batch, Log, LogError
from infra.reader import ReaderProcess
from infra.say import say
from infra.wire import ReadBatch, Reader

FAR_BEHIND = 50_000
"""Records: starting a process costs about as much as it saves by then."""
LOOK_S = 10.0
"""Between looks at how far the lane is behind, and at least as long one way of reading stays."""


class LaneReader:
    """See `infra.wire.Reader`. `help_from`: starts a process that reads from positions on; LogError when it cannot."""

    def __init__(self, log: Log, positions: Mapping[int, int], help_from: Callable[[dict[int, int]], ReaderProcess]) -> None:
        self._log, self._positions, self._help_from = log, dict(positions), help_from
        self._helper: ReaderProcess | None = None
        self._reader: Reader = log.slice_reader(RAW, self._positions)
        self._looked = -LOOK_S
        self._change(self._helped)

    @property
    def caught_up(self) -> bool:
        return self._reader.caught_up

    def poll(self, most: int, seconds: float) -> Sequence[Batch | ReadBatch]:
        batches = self._reader.poll(most, seconds)
        for batch in batches:
            self._positions[batch.partition] = batch.positions[-1] + 1
        if self._helper is not None and self.caught_up:
            self._change(self._by_itself)
        elif self._helper is None and sum(len(b.positions) for b in batches) >= most:
            self._change(self._helped)
        return batches

    def close(self) -> None:
        self._reader.close()

    def _change(self, how: Callable[[], None]) -> None:
        if time.monotonic() >= self._looked + LOOK_S:
            self._looked = time.monotonic()
            with suppress(LogError):  # the log is away, or no process can be started: reading goes on as it is
                how()

    def _helped(self) -> None:
        behind = self._behind()
        if behind > FAR_BEHIND:
            helper = self._help_from(dict(self._positions))
            self._reader.close()
            self._reader = self._helper = helper
            say("run", f"{behind} records behind: process {helper.pid} reads the log until the lane has caught up")

    def _by_itself(self) -> None:
        reader = self._log.slice_reader(RAW, self._positions)
        self._reader.close()
        self._reader, self._helper = reader, None
        say("run", "caught up: the lane reads the log by itself again")

    def _behind(self) -> int:
        """Records from where the lane is to the ends of its partitions."""
        at = self._positions
        bounds = self._log.bounds(RAW)
        return sum(max(0, end - max(first, at[p])) for p, (first, end) in bounds.items() if p in at)
