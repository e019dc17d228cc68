"""`footstream run` with a fault: `python -m tests.support.faulty_lane FAULT run all …`.

`always-new`: no copy is ever told apart. `raise-on:WORD`: an operator raises on every record whose payload holds WORD.
`helped:N`: a process reads for a lane that is N records behind. `kill-reader:N`: the same at one record, and kill -9 of that
process once N records came from it.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import infra.lane_reader
import infra.run_lane
import operators.ingest
from infra.chain import Chain
from infra.reader import ReaderProcess
from infra.wire import ReadBatch
from operators.memory import DeviceMemory, Judged, LineMemory, Values


def _new_window(
    line: LineMemory, event_id: int, start: int, end: int, values: Values, arrival: int, place: int, stamp: int, stated: bool,
    replayed: bool,
) -> Judged:  # fmt: skip
    return "new", None, place


def _new_id(memory: DeviceMemory, event_id: int, time: int, arrival: int, place: int, stamp: int) -> Judged:
    return "new", None, place


def always_new() -> None:
    vars(operators.ingest).update(accept_window=_new_window, accept_id=_new_id)
    operators.ingest.Ingest.take_plains = lambda self, work, at, end, now, *_: (at, now)  # type: ignore[method-assign]  # never sure


def raise_on(word: bytes) -> None:
    def faulty(handle: Callable[..., None]) -> Callable[..., None]:
        def handling(*words: Any) -> None:
            if any(isinstance(given, bytes) and word in given for given in words):
                raise ZeroDivisionError("made to fail")
            handle(*words)

        return handling

    for name in ("handle", "handle_plain"):
        setattr(Chain, name, faulty(getattr(Chain, name)))


def helped(behind: int) -> None:
    infra.lane_reader.FAR_BEHIND = behind
    vars(infra.run_lane).update(MOST_RECORDS=50)  # of a frame: small logs are several


def kill_reader(after: int) -> None:
    helped(1)
    poll, came = ReaderProcess.poll, 0

    def killing(self: ReaderProcess, most: int, seconds: float) -> list[ReadBatch]:
        nonlocal came
        if came >= after:
            os.kill(self.pid, signal.SIGKILL)
            while True:  # frames that are on their way come first
                poll(self, most, 1.0)
        batches = poll(self, most, seconds)
        came += sum(len(b.positions) for b in batches)
        return batches

    ReaderProcess.poll = killing  # type: ignore[method-assign]  # a fault


def main() -> None:
    fault, *words = sys.argv[1:]
    name, _, value = fault.partition(":")
    match name:
        case "always-new":
            always_new()
        case "helped":
            helped(int(value))
        case "kill-reader":
            kill_reader(int(value))
        case _:
            raise_on(value.encode())
    # The lane starts itself again as `-m infra …`: it has to come back with the same fault.
    execv, again = os.execv, ["-m", "tests.support.faulty_lane", *sys.argv[1:]]
    os.execv = lambda path, _: execv(path, [path, *again])
    sys.argv = [sys.argv[0], *words]
    from infra.cli import main as cli

    cli()


if __name__ == "__main__":
    main()
