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
from connectors.mqtt import Message, Subscription, parse_filters, parse_url
from infra.bridge import Bridge, Slice, end_process_on_thread_failure, stop_on_signals
from infra.registry import load_registry


class AutoAck(Bridge):
    def _received(self, messages: list[Message]) -> None:
        self._acknowledge(messages)
        super()._received(messages)

    def _acknowledge(self, messages: list[Message]) -> None:
        for message in messages:
            message.stored = True
        self.subscriber.acknowledge()


class AckFirst(AutoAck):
    def _received(self, messages: list[Message]) -> None:
        Bridge._received(self, messages)
        self._acknowledge(messages)


MUTANTS: dict[str, type[Bridge]] = {"": Bridge, "auto-ack": AutoAck, "ack-first": AckFirst}


def main(options: dict[str, Any]) -> None:
    slow = float(options.get("slow_s", 0))

    class Slow(MUTANTS[options.get("mutant", "")]):  # type: ignore[misc]  # the base is chosen by name
        def _step(self) -> None:
            time.sleep(slow)
            super()._step()

        def _received(self, messages: list[Message]) -> None:
            if self.stats.received + len(messages) > options.get("explode", 1 << 60):
                raise RuntimeError("made to fail")
            super()._received(messages)

    log = open_log(options["log"], **({"prefix": options["prefix"]} if "prefix" in options else {}))
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
    which = Slice(*options.get("slice", (0, 1)))
    bridge = Slow(subscription, log.writer, load_registry(Path(sites) if sites else None), which=which)
    end_process_on_thread_failure()
    stop_on_signals(bridge)
    bridge.run()
    log.close()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
