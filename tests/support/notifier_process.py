"""`python -m tests.support.notifier_process FOLDER RECEIVERS.toml SEED`: the notifier as a process that tests kill.

It is the notifier of `footstream notify` without store and metrics, and tries again after a tenth of a second.
`MUTANT=outside` splits what belongs into one transaction: the position is stored first, transitions and messages later.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import connectors._outbox_post
from connectors.log import open_log
from connectors.outbox import Intake
from infra.notifier import Notifier
from infra.receivers import load_receivers
from schemas.alerts import Transition


class OutboxOutsideTheTransaction(Intake):
    """The mutant."""

    def take(
        self, transitions: Iterable[Transition], topic: str, positions: Mapping[int, int], now_ms: int, history: bool = False
    ) -> None:
        super().take([], topic, positions, now_ms, history)
        time.sleep(0.5)  # what a disk may take between two commits
        super().take(transitions, topic, {}, now_ms, history)


def main() -> None:
    connectors._outbox_post.gap_ms = lambda tries: 100
    folder, receivers, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    log = open_log(f"sqlite:///{folder / 'log'}")
    notifier = Notifier(log, folder / "notify.sqlite", load_receivers(receivers, os.environ), seed=seed)
    notifier.start()
    if os.environ.get("MUTANT") == "outside":
        notifier.intake = OutboxOutsideTheTransaction(
            notifier.file, [r.target() for r in load_receivers(receivers, os.environ)]
        )
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    print("ready", flush=True)
    notifier.run(stop)
    notifier.close()


if __name__ == "__main__":
    main()
