"""The embedded broker as a process of its own (`python -m infra.broker_role DATA PORT`): until SIGTERM, or until it ends."""

import signal
import sys
import threading
from pathlib import Path

from infra.broker import EmbeddedBroker
from infra.errors import Problem


def main(data: Path, port: int) -> int:
    """Exit code 0 after SIGTERM, 1 when the broker cannot start or ends by itself."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    broker = EmbeddedBroker(data)
    try:
        print(f"{broker.kind} at {broker.start(port)}", flush=True)
        while broker.alive():
            if stop.wait(1.0):
                return 0
        print(f"{broker.kind} ended by itself; see {broker.folder / 'broker.log'}", flush=True)
        return 1
    except Problem as problem:
        print(problem, flush=True)
        return 1
    finally:
        broker.stop()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
