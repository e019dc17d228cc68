"""A bridge in a process of its own, for tests that kill it: `python -m tests.support.bridge_process '{"port": ..., ...}'`.

`mutant` takes one protection away, to show that the tests notice: `auto-ack` (the client acknowledges on receipt) and
`ack-first` (acknowledged when taken, before the log has it). `slow_s` makes every step that much slower, the same for
a mutant and for the real one, so that a kill finds messages on their way. `explode`: the network thread fails at that message.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from connectors.log import RAW, open_log
from connectors.mqtt import Message, Subscriber, Subscription, parse_filters, parse_url
from infra.bridge import Bridge, end_process_on_thread_failure, say, stop_on_signals
from infra.registry import load_registry


class AutoAck(Bridge):
    def _subscriber(self, subscription: Subscription) -> Subscriber:
        return Subscriber(subscription, self._received, say, self._stop.set, manual_ack=False)


class AckFirst(Bridge):
    def _received(self, message: Message) -> None:
        super()._received(message)
        message.done()


MUTANTS: dict[str, type[Bridge]] = {"": Bridge, "auto-ack": AutoAck, "ack-first": AckFirst}


def main(options: dict[str, Any]) -> None:
    slow = float(options.get("slow_s", 0))

    class Slow(MUTANTS[options.get("mutant", "")]):  # type: ignore[misc]  # the base is chosen by name
        def _step(self) -> None:
            time.sleep(slow)
            super()._step()

        def _received(self, message: Message) -> None:
            if self.stats.received == options.get("explode"):
                raise RuntimeError("made to fail")
            super()._received(message)

    log = open_log(options["log"])
    log.ensure_topic(RAW, 4)
    subscription = Subscription(
        parse_url(options["url"]),
        parse_filters(options.get("filters", "#")),
        client_id=options.get("client", "bridge-under-test"),
        password=options.get("password", ""),
        version=options.get("version", 5),
        ca=options.get("ca", ""),
        inflight=options.get("inflight", 1000),
        retry_s=(1, 2),
    )
    sites = options.get("sites")
    bridge = Slow(subscription, log.writer, load_registry(Path(sites) if sites else None))
    end_process_on_thread_failure()
    stop_on_signals(bridge)
    bridge.run()
    log.close()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
