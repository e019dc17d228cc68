"""The process behind `infra.reader`: `python -m infra.reader_process`, started by a lane only.

Standard input brings what to read and then stays open: its end is the end of the lane. Standard output takes the frames.
"""

import gc
import os
import pickle
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection

from connectors.log import RAW, LogError, SliceReader
from infra.errors import EXIT_BUG
from infra.logs import open_settings_log
from infra.reader import Start
from infra.say import begin, failed
from infra.settings import SettingsError
from infra.wire import Packer, problem_frame

CHUNK = 1000
"""Records of one poll of the log: decoded while they are still in the cache of the core."""
WAIT_S = 0.05
COLLECT_EVERY = 1000
"""Frames between looks for objects in cycles; records make none, libraries may."""


def main() -> None:
    """Read until the lane is gone. What a person must decide goes to the lane; a bug ends this process with its traceback."""
    frames = Connection(os.dup(1), readable=False)
    os.dup2(2, 1)  # what anything prints must not get between the frames
    start: Start = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_lane, daemon=True).start()
    begin("run", start.settings.log_format)
    try:
        _read(start, frames.send_bytes)
    except (LogError, SettingsError) as error:
        frames.send_bytes(problem_frame(error))
        frames.close()
    except BrokenPipeError:
        pass  # the lane is gone
    except Exception as error:
        if failed(error):
            os._exit(EXIT_BUG)
        raise


def _end_with_lane() -> None:
    """The lane writes nothing more, so a read ends when it is gone. Ends this process wherever it is."""
    os.read(0, 1)
    os._exit(0)


def _read(start: Start, send: Callable[[bytes], None]) -> None:
    reader = open_settings_log(start.settings).slice_reader(RAW, start.positions)
    packer = Packer(start.poison)
    gc.collect()
    gc.freeze()
    gc.disable()
    sent, told = 0, False
    while True:
        read = _frame(reader, packer, start.most)
        if read or reader.caught_up != told:
            told = reader.caught_up
            send(packer.done(told))
            sent += 1
            if sent % COLLECT_EVERY == 0:
                gc.collect()


def _frame(reader: SliceReader, packer: Packer, most: int) -> int:
    """Read until the frame is full or nothing comes; how many records it has."""
    read = 0
    while read < most:
        batches = reader.poll(min(CHUNK, most - read), WAIT_S)
        if not batches:
            break
        for batch in batches:
            packer.add(batch)
            read += len(batch.positions)
    return read


if __name__ == "__main__":
    main()
