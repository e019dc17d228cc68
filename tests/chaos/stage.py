"""A chain of stores at work on real parts, for something to happen to: mosquitto, log, store, receiver, our roles as processes.

`Stage` publishes a ledger, and at the end `prove()` says what must not be: a message lost or doubled (balance of the ledger
with every table, `audit`), an alert lost, invented or out of turn, a role of ours with more memory than it may have.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, NamedTuple

import msgspec

from connectors.log import RAW, TRANSITIONS, Log, open_log
from infra.roles import health
from infra.settings import Settings
from infra.stores import writer_password
from operators.simulator import Sent, chain
from operators.simulator.stream import Faults
from schemas.alerts import Transition
from tests.support.alert_checker import complaints
from tests.support.ledger import TWENTY_YEARS, Ledger, System
from tests.support.logs import read_all
from tests.support.mqtt import Mosquitto, Publisher
from tests.support.proxy import Proxy
from tests.support.receiver import SECRET, Receiver
from tests.support.store import StoreProcess

HEALTH = {"bridge": "bridge", "lane": "run-0", "notifier": "notify"}
WORDS = {"bridge": ("bridge",), "lane": ("run", "all"), "notifier": ("notify",)}
MEMORY_MIB = 400
"""Most resident memory of a role of ours (reliability.md 5.1, I6). The store is another program's."""
PROGRAM = ("-m", "infra")


class Size(NamedTuple):
    """Stores of the chain, hours that they catch up on, seconds at most to wait for anything."""

    stores: int = 10
    hours: float = 4
    patience_s: float = 240


LARGE = Size(58, 10)
"""More than 20,000 messages."""


def book_of(size: Size, seed: int) -> Ledger:
    """Some hours that come late, and four minutes of now in which much happens."""
    now = int(time.time()) // 60 * 60
    faults = Faults(doubled=0.05, late=0.02, late_s=600, garbage_s=10)
    past = Faults(missed=0.003, doubled=0.03, late=0.02, disorder=0.1, garbage_s=60)
    made = chain(size.stores, seed, now - 240, size.hours / 168, 10.0, faults, past)
    return Ledger(made, list(made.messages(now)))


def wait(what: str, done: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.05)


def peak_mib(pid: int) -> int:
    """Most memory that a process had resident so far, 0 when it is gone."""
    try:
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) // 1024 if found else 0


class Roles:
    """The processes: started, killed, started again; what they said stands in one file each. `peaks`: memory by role, MiB."""

    def __init__(self, settings: Settings, store: StoreProcess, folder: Path) -> None:
        self.settings, self.store, self.folder = settings, store, folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.programs: dict[str, tuple[str, ...]] = {}
        self.peaks: dict[str, int] = {}

    def start(self, role: str) -> None:
        if role == "store":
            self.store.start()
            return
        kept = {k: v for k, v in os.environ.items() if not k.startswith("FOOTSTREAM_")}
        with (self.folder / f"{role}.log").open("ab") as said:
            self.processes[role] = subprocess.Popen(
                [sys.executable, *self.programs.get(role, PROGRAM), *WORDS[role]],
                env={**kept, **self.settings.environment()},
                stdout=said,
                stderr=said,
            )

    def alive(self, role: str) -> bool:
        """Whether the role's own process says that it is there. One that ended by itself is started again, as `up` would."""
        if role == "store":
            return True
        process = self.processes[role]
        if process.poll() is not None:
            self.start(role)
            return False
        said = health(self.settings.data, HEALTH[role])
        return said is not None and said["pid"] == process.pid

    def measure(self) -> None:
        """Note the peaks of memory so far."""
        for role, process in self.processes.items():
            self.peaks[role] = max(self.peaks.get(role, 0), peak_mib(process.pid))

    def kill(self, role: str) -> None:
        self.measure()
        if role == "store":
            self.store.kill9()
        else:
            self.processes[role].kill()
            self.processes[role].wait(10)

    def stop(self, role: str) -> int | None:
        self.measure()
        process = self.processes.pop(role, None)
        if process is None:
            return None
        process.terminate()
        try:
            return process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait(10)

    def said(self, role: str) -> str:
        path = self.folder / f"{role}.log"
        return path.read_text(errors="replace")[-2000:] if path.exists() else ""


class Stage:
    """Everything running, as a context. `wrong` names what must not be; `result` has the figures.

    `log_url`: "" for the embedded log. With `proxied` bridge and lane reach broker and store through `broker_way` and
    `store_way`. `folder`: an empty one. Settings are what `changed` makes of the usual ones.
    """

    def __init__(
        self,
        size: Size,
        seed: int,
        log_url: str,
        folder: Path,
        say: Callable[[str], None],
        proxied: bool = False,
        changed: Callable[[Settings], Settings] = lambda settings: settings,
    ) -> None:
        self.size, self.seed, self.say, self.rng = size, seed, say, Random(seed)
        self.book = book_of(size, seed)
        self.wrong: list[str] = []
        self.result: dict[str, Any] = {"messages": len(self.book.sent), **self.book.outcomes()}
        self.folder, self.log_url = folder, log_url or f"sqlite:///{folder / 'log'}"
        self._proxied, self._changed, self._stack = proxied, changed, ExitStack()

    def __enter__(self) -> "Stage":
        with ExitStack() as stack:
            self.broker = stack.enter_context(Mosquitto())
            self.store = stack.enter_context(StoreProcess(self.folder / "store", keep_days="all=0"))
            self.broker_way = self.store_way = None
            if self._proxied:
                self.broker_way, self.store_way = Proxy(self.broker.port), Proxy(self.store.settings.store_port)
                stack.callback(self.broker_way.close)
                stack.callback(self.store_way.close)
            self.receiver = Receiver()
            stack.callback(self.receiver.close)
            settings = self._settings()
            self.system = System(replace(settings, store_url=self.store.url))
            stack.callback(self.system.close)
            self.roles = Roles(settings, self.store, self.folder)
            for role in WORDS:
                stack.callback(self.roles.stop, role)
            for role in ("lane", "bridge", "notifier"):
                self.start(role)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            for role in WORDS:
                self.say(f"{role} said: {self.roles.said(role)}")
        self._stack.close()

    def _settings(self) -> Settings:
        sites = self.folder / "sites"
        sites.mkdir(parents=True)
        for name, text in self.book.chain.registry_toml().items():  # so small that every store is over its capacity
            small = re.sub(r"operational = \d+", "operational = 4", text)
            (sites / name).write_text(re.sub(r"legal = \d+", "legal = 6", small))
        (self.folder / "secret").write_text(SECRET)
        (self.folder / "url").write_text(self.receiver.url)
        hook = '[receivers.hook]\nkind = "webhook"\nurl_file = "url"\nsecret_file = "secret"\nallow_private = true\n'
        (self.folder / "receivers.toml").write_text(hook)
        settings = replace(
            self.store.settings,
            data=self.folder / "data",
            sites=sites,
            receivers=self.folder / "receivers.toml",
            mqtt_url=self.broker_way.url if self.broker_way else self.broker.url,
            log_url=self.log_url,
            topic_prefix=f"stage{os.getpid()}x{self.seed}.",
            store_url=f"http://127.0.0.1:{self.store_way.port}" if self.store_way else self.store.url,
            store_password=writer_password(self.store.settings),
            log_retention_days=TWENTY_YEARS,
            snapshot_s=2,
            keep_days="all=0",
        )
        return self._changed(settings)

    def start(self, role: str) -> None:
        """Start a role and wait until it says that it is there."""
        self.roles.start(role)
        wait(f"{role} starts", lambda: self.roles.alive(role), self.size.patience_s)

    def alive(self, role: str) -> None:
        wait(f"{role} is back", lambda: self.roles.alive(role), self.size.patience_s)

    def pieces(self, number: int) -> Iterator[list[Sent]]:
        """The messages in so many pieces."""
        sent = self.book.sent
        step = -(-len(sent) // number)
        yield from (sent[i * step : (i + 1) * step] for i in range(number))

    def publish(self, messages: Iterable[Sent], per_second: float = 0.0) -> None:
        """At QoS 1, each acknowledged by the broker. `per_second`: 0 for as fast as it takes them."""
        publisher, began = Publisher(self.broker.port), time.monotonic()
        for number, message in enumerate(messages):
            publisher.send(message.topic, message.payload)
            if per_second and (ahead := began + number / per_second - time.monotonic()) > 0:
                time.sleep(ahead)
        publisher.settle(self.size.patience_s)
        publisher.close()

    def kill_in_pieces(self, victims: Sequence[str], within_s: tuple[float, float]) -> None:
        """Publish everything; after each piece kill a role at a seeded moment, and start it again."""
        began, publisher = time.monotonic(), Publisher(self.broker.port)
        for i, piece in enumerate(self.pieces(len(victims) + 1)):
            for message in piece:
                publisher.send(message.topic, message.payload)
            if i < len(victims):
                self.alive(victims[i])
                time.sleep(self.rng.uniform(*within_s))
                self.roles.kill(victims[i])
                self.roles.start(victims[i])
        publisher.settle(60)
        publisher.close()
        self.result |= {"kills": len(victims), "live_s": round(time.monotonic() - began, 1)}

    def open_log(self) -> Log:
        return open_log(self.system.settings.log(), self.system.settings.topic_prefix)

    def missing(self, log: Log) -> set[bytes]:
        """Payloads that were sent and are not in the log."""
        return {s.payload for s in self.book.sent} - {row[4] for row in read_all(log, RAW)}

    def forget(self, payloads: set[bytes]) -> None:
        """Messages that a fault may lose: nothing is expected of them any more."""
        self.book = Ledger(self.book.chain, [s for s in self.book.sent if s.payload not in payloads])

    def prove(self) -> None:
        """Wait until everything has arrived, and look at it."""
        began = time.monotonic()
        log = self.open_log()
        try:
            self._arrive(log)
            self.stored(log)
            self.result |= {"drained_s": round(time.monotonic() - began, 1), "lane_exit": self.roles.stop("lane")}
            self.system.command("run", "all", "--until-end")
            self._told(log)
        finally:
            log.close()
        self._check()

    def _arrive(self, log: Log) -> None:
        def arrived() -> bool:
            away = [role for role in WORDS if not self.roles.alive(role)]
            total = sum(end - first for first, end in log.bounds(RAW).values())
            return not away and total >= len(self.book.sent) and not self.missing(log)

        wait("every message in the log", arrived, self.size.patience_s)

    def stored(self, log: Log) -> None:
        """Wait until the tables have all of the log."""

        def done() -> bool:
            self.roles.alive("lane")
            ends = {p: end for p, (_, end) in log.bounds(RAW).items() if end}
            found = self.system.store.query("SELECT partition_no AS p, position FROM progress")
            return ends == {r["p"]: r["position"] for r in found if r["position"]}

        wait("everything stored", done, self.size.patience_s)

    def _told(self, log: Log) -> None:
        ids = {json.loads(row[4])["transition_id"] for row in read_all(log, TRANSITIONS)}
        self.result |= {"transitions": len(ids), "alerts_live": len(live_transitions(log))}

        def told() -> bool:
            self.roles.alive("notifier")
            return not complaints(live_transitions(log), self.messages(), "hook")

        try:
            wait("every alert delivered", told, 30)
        except TimeoutError:
            self.wrong += [f"alerts: {c}" for c in complaints(live_transitions(log), self.messages(), "hook")]

    def messages(self) -> list[tuple[str, str, str]]:
        """What the receiver has: id, type and key of each alert."""
        posts = [(p.headers["webhook-id"], p.json) for p in self.receiver.taken]
        return [(i, j["type"], j["data"]["dedup_key"]) for i, j in posts if "dedup_key" in j["data"]]

    def _check(self) -> None:
        system = self.system
        system.command("repair")
        self.wrong += system.balance(self.book)
        expected = self.book.outcomes()["stored"]
        stored = system.store.query("SELECT uniqExact(partition_no, position) AS n FROM observations")[0]["n"]
        if stored != expected:
            self.wrong.append(f"stored {stored} messages, {expected} were sent")
        try:
            system.command("audit")
        except AssertionError as error:
            self.wrong.append(str(error)[:3000])
        self.roles.measure()
        self.wrong += [f"{role} had {n} MiB, {MEMORY_MIB} allowed" for role, n in self.roles.peaks.items() if n > MEMORY_MIB]
        taken = self.messages()
        self.result |= {
            "stored_rows": stored,
            "duplicate_rows": system.rows("duplicates"),
            "posts": len(taken),
            "posts_repeated": len(taken) - len(set(taken)),
            "mib": dict(self.roles.peaks),
        }
        if not taken:
            self.wrong.append("no alert was live: nothing is shown")


def live_transitions(log: Log) -> list[Transition]:
    """Live transitions of the log, each once, in order within a partition."""
    found = [msgspec.json.decode(row[4], type=Transition) for row in sorted(read_all(log, TRANSITIONS))]
    return [t for t in {t.transition_id: t for t in found}.values() if not t.backfilled]
