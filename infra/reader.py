"""A process that reads the log and decodes for a lane that is far behind: two cores instead of one.

Delivery: as of `connectors.log.SliceReader`; positions are the lane's, so nothing is lost with the process. Unit of
parallelism: one for a lane. Back pressure: a pipe that is full stops it. It ends when the lane closes it or is gone, however
that ended: it watches its standard input (`infra/reader_process.py`).
"""

import fcntl
import os
import pickle
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import NamedTuple

from connectors.log import LogError
from infra.settings import Settings
from infra.wire import Poison, ReadBatch, Unpacker

PIPE_BYTES = 1 << 20
"""Most that Linux gives without privileges; a few frames, so that both sides seldom wait for each other."""
END_S = 5.0


class Start(NamedTuple):
    """What the process is told. `most`: records of a frame. Pickled, because both sides are one program."""

    settings: Settings
    positions: dict[int, int]
    poison: Poison
    most: int


class ReaderProcess:
    """Reads the topic `raw` from positions on, see `infra.wire.Reader`; a poll brings a frame. Raises LogError when
    it cannot be started, or has ended.

    `poison`: (partition, position) of records that stay bytes.
    """

    def __init__(self, settings: Settings, positions: dict[int, int], poison: Iterable[tuple[int, int]], most: int) -> None:
        frames, theirs = os.pipe()
        with suppress(AttributeError, OSError):  # Linux only; without it there is less ahead
            fcntl.fcntl(frames, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        try:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "infra.reader_process"],
                stdin=subprocess.PIPE,
                stdout=theirs,
                process_group=0,  # Ctrl-C is for the lane, which ends it
            )
        except OSError as error:
            os.close(frames)
            raise LogError(
                f"log: no process can be started to read it: {error.strerror}; look at this machine's limits"
            ) from None
        finally:
            os.close(theirs)
        self._frames = Connection(frames, writable=False)
        self._unpacker = Unpacker()
        self._caught_up = False
        kept: dict[int, set[int]] = {}
        for partition, position in poison:
            kept.setdefault(partition, set()).add(position)
        assert self._child.stdin is not None
        with suppress(BrokenPipeError):  # the first poll says that it is gone
            pickle.dump(Start(settings, positions, kept, most), self._child.stdin)
            self._child.stdin.flush()

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def caught_up(self) -> bool:
        """See `SliceReader.caught_up`, as of the last frame."""
        return self._caught_up

    def poll(self, most: int, seconds: float) -> list[ReadBatch]:
        """See `SliceReader.poll`. A frame has as many records as were said at the start, whatever `most` is."""
        try:
            if not self._frames.poll(seconds):
                return []
            frame = self._frames.recv_bytes()
        except (EOFError, OSError):
            raise self._ended() from None
        batches, self._caught_up = self._unpacker.take(frame)
        return batches

    def close(self) -> None:
        """The process is gone when this returns."""
        self._frames.close()
        assert self._child.stdin is not None
        with suppress(BrokenPipeError):
            self._child.stdin.close()
        try:
            self._child.wait(END_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _ended(self) -> LogError:
        self.close()
        code = self._child.returncode
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        return LogError(
            f"log: process {self.pid}, which reads it for this lane, {how}; nothing is lost: start the lane again, and look at"
            " the lines above and at the memory of this machine"
        )
