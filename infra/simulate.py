"""The simulated chain at work, as a process of its own: history straight into the log, then live messages over real MQTT.

Started by `footstream demo` with one JSON object of options. It writes `run/simulate.ready` once the history is in the log,
publishes at QoS 1 from the moment on that the bridge is there, and on SIGTERM sends what it held back, waits for every PUBACK
and writes `ledger.json`: what was sent, and what the tables must hold because of it.
"""

import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from connectors.log import RAW, Log, NewRecord, open_log
from connectors.mqtt import Address
from connectors.mqtt_publish import MqttPublisher
from infra.latency import Latency
from infra.roles import health
from operators.simulator import Chain, Level, Sent, StayTold, Stream, Window, chain

CHUNK = 2000
"""Records of one append to the log."""
STEP_S = 0.1
"""How often what is due is published."""


class Options(msgspec.Struct, frozen=True):
    """What the simulated chain is and where it reports to. Times are epoch seconds."""

    data: str
    log: str
    prefix: str
    partitions: int
    mqtt_port: int
    store: str
    database: str
    reader: str
    reader_password: str
    stores: int
    seed: int
    live: int
    weeks: float
    speed: float

    def chain(self) -> Chain:
        return chain(self.stores, self.seed, self.live, self.weeks, self.speed)


class Ledger(msgspec.Struct):
    """What was sent: messages by expected outcome, the counting windows, people in zones, stays, and the latencies seen in
    milliseconds."""

    messages: dict[str, int] = {}
    history: int = 0
    windows: list[Window] = []
    levels: list[Level] = []
    stays: list[StayTold] = []
    latencies_ms: list[float] = []

    def take(self, sent: Iterable[Sent]) -> None:
        counts = Counter(self.messages)
        for message in sent:
            counts[message.expect] += 1
            self.windows += message.windows
            self.levels += message.levels
            self.stays += message.stays
        self.messages = dict(counts)

    @property
    def total(self) -> int:
        return sum(self.messages.values())


def record(sent: Sent) -> NewRecord:
    """The record of `raw` that the bridge would have written on arrival."""
    headers = (("topic", sent.topic.encode()), ("source", b"mqtt"))
    return NewRecord(sent.site, sent.payload, int(sent.at * 1000), headers)


def write_history(log: Log, stream: Stream, until: float, partitions: int, ledger: Ledger) -> None:
    """Append everything that was sent before a moment, in the order of arrival."""
    log.ensure_topic(RAW, partitions, 400 * 86400)
    past = stream.until(until)
    writer = log.writer()
    try:
        for i in range(0, len(past), CHUNK):
            writer.append_many(RAW, [record(s) for s in past[i : i + CHUNK]])
    finally:
        writer.close()
    ledger.take(past)
    ledger.history = len(past)


def _say_ready(data: Path) -> None:
    path = data / "run" / "simulate.ready"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(os.getpid()))


def _wait_for_bridge(data: Path, stop: threading.Event) -> None:
    """Nothing may be published before the bridge's session exists: the broker would have nobody to keep it for."""
    while not stop.wait(0.1):
        said = health(data, "bridge")
        if said is not None and said.get("ok"):
            return


def run(options: Options, stop: threading.Event) -> int:
    """The whole life; exit code 1 when the broker did not acknowledge everything."""
    data, ledger = Path(options.data), Ledger()
    log = open_log(options.log, options.prefix)
    stream = options.chain().stream()
    began = time.monotonic()
    write_history(log, stream, options.live, options.partitions, ledger)
    print(f"history: {ledger.history} messages in {time.monotonic() - began:.1f} s", flush=True)
    latency = Latency(options.store, options.database, options.reader, options.reader_password, log.bounds(RAW))
    log.close()
    _say_ready(data)
    _wait_for_bridge(data, stop)
    publisher = MqttPublisher(Address("127.0.0.1", options.mqtt_port, "", False), name="footstream-simulator")
    latency.start()
    while not stop.wait(STEP_S):
        due = stream.until(time.time())
        for message in due:
            publisher.send(message.topic, message.payload)
        ledger.take(due)
        latency.offer(due)
    rest = stream.rest()
    for message in rest:
        publisher.send(message.topic, message.payload)
    ledger.take(rest)
    missing = publisher.settle(60)
    publisher.close()
    ledger.latencies_ms = latency.stop()
    (data / "ledger.json").write_bytes(msgspec.json.encode(ledger))
    print(f"sent {ledger.total} messages, {len(rest)} of them held back until the end; {missing} not acknowledged", flush=True)
    return int(missing > 0)


def main(words: Sequence[str]) -> int:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return run(msgspec.json.decode(words[0], type=Options), stop)


def command(options: Options) -> tuple[str, ...]:
    """The command line that starts it."""
    return (sys.executable, "-m", "infra.simulate", msgspec.json.encode(options).decode())


def read_ledger(data: Path) -> Ledger:
    """What the simulator wrote when it stopped."""
    return msgspec.json.decode((data / "ledger.json").read_bytes(), type=Ledger)


def ready(data: Path) -> Any:
    """Whether the history of the process with that pid is in the log."""

    def said(pid: int) -> bool:
        try:
            return int((data / "run" / "simulate.ready").read_text()) == pid
        except (OSError, ValueError):
            return False

    return said


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
