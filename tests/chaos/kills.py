"""kill -9 of bridge, lane, store and notifier at seeded moments: `python -m tests.chaos.kills [--size mini|full] [--seed N]
[--log sqlite|kafka|both]`.

A chain of stores publishes over a real mosquitto; one role after the other is killed in the middle of its work and started
again. At the end nothing is lost, nothing doubled, `audit` is clean, and the receiver has every alert once (repeats of one id
are allowed: the notifier may die between the post and its note).
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import msgspec

from connectors.log import RAW, TRANSITIONS, open_log
from infra.roles import health
from infra.settings import Settings
from infra.stores import writer_password
from operators.simulator import chain
from operators.simulator.stream import Faults
from schemas.alerts import Transition
from tests.support.alert_checker import complaints
from tests.support.kafka import kafka_broker
from tests.support.ledger import TWENTY_YEARS, Ledger, System
from tests.support.logs import read_all
from tests.support.mqtt import Mosquitto, Publisher
from tests.support.receiver import SECRET, Receiver
from tests.support.store import StoreProcess

ROLES = ("bridge", "lane", "store", "notifier")
HEALTH = {"bridge": "bridge", "lane": "run-0", "notifier": "notify"}
WORDS = {"bridge": ("bridge",), "lane": ("run", "all"), "notifier": ("notify",)}


class Size(NamedTuple):
    """Stores of the chain, hours that they catch up on, kills of each role, seconds at most to wait for anything."""

    stores: int
    hours: float
    kills: int
    patience_s: float


SIZES = {"mini": Size(6, 6, 1, 60), "full": Size(58, 10, 10, 240)}


def book_of(size: Size, seed: int) -> Ledger:
    """Some hours that come late, and four minutes of now in which much happens."""
    now = int(time.time()) // 60 * 60
    faults = Faults(doubled=0.05, late=0.02, late_s=600, garbage_s=10)
    past = Faults(missed=0.003, doubled=0.03, late=0.02, disorder=0.1, garbage_s=60)
    made = chain(size.stores, seed, now - 240, size.hours / 168, 10.0, faults, past)
    return Ledger(made, list(made.messages(now)))


class Roles:
    """The processes: started, killed, started again; what they said stands in one file each."""

    def __init__(self, settings: Settings, store: StoreProcess, folder: Path) -> None:
        self.settings, self.store, self.folder = settings, store, folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, role: str) -> None:
        if role == "store":
            self.store.start()
            return
        kept = {k: v for k, v in os.environ.items() if not k.startswith("FOOTSTREAM_")}
        with (self.folder / f"{role}.log").open("ab") as said:
            self.processes[role] = subprocess.Popen(
                [sys.executable, "-m", "infra", *WORDS[role]],
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

    def kill(self, role: str) -> None:
        if role == "store":
            self.store.kill9()
        else:
            self.processes[role].kill()
            self.processes[role].wait(10)

    def stop(self, role: str) -> int | None:
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


def wait(what: str, done: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.05)


class Run:
    """One run over one log. `wrong` names what must not be; `result` the figures."""

    def __init__(self, size: Size, seed: int, log_url: str, folder: Path, say: Callable[[str], None]) -> None:
        self.size, self.seed, self.say, self.rng = size, seed, say, Random(seed)
        self.book = book_of(size, seed)
        self.wrong: list[str] = []
        self.result: dict[str, Any] = {"messages": len(self.book.sent), **self.book.outcomes()}
        self.folder = folder
        self.log_url = log_url or f"sqlite:///{folder / 'log'}"

    def run(self) -> None:
        with Mosquitto() as broker, StoreProcess(self.folder / "store", keep_days="all=0") as store:
            receiver = Receiver()
            settings = self._settings(broker, store, receiver)
            system = System(settings)
            roles = Roles(settings, store, self.folder)
            try:
                self._live(roles, broker, receiver)
                self._drain(roles, system, receiver)
                self._check(system, receiver)
            except BaseException:
                for role in WORDS:
                    self.say(f"{role} said: {roles.said(role)}")
                raise
            finally:
                for role in WORDS:
                    roles.stop(role)
                system.close()
                receiver.close()

    def _settings(self, broker: Mosquitto, store: StoreProcess, receiver: Receiver) -> Settings:
        sites = self.folder / "sites"
        sites.mkdir(parents=True)
        for name, text in self.book.chain.registry_toml().items():  # so small that every store is over its capacity
            small = re.sub(r"operational = \d+", "operational = 4", text)
            (sites / name).write_text(re.sub(r"legal = \d+", "legal = 6", small))
        (self.folder / "secret").write_text(SECRET)
        (self.folder / "url").write_text(receiver.url)
        hook = '[receivers.hook]\nkind = "webhook"\nurl_file = "url"\nsecret_file = "secret"\nallow_private = true\n'
        (self.folder / "receivers.toml").write_text(hook)
        return replace(
            store.settings,
            data=self.folder / "data",
            sites=sites,
            receivers=self.folder / "receivers.toml",
            mqtt_url=broker.url,
            log_url=self.log_url,
            topic_prefix=f"kills{os.getpid()}x{self.seed}.",
            store_url=store.url,
            store_password=writer_password(store.settings),
            log_retention_days=TWENTY_YEARS,
            snapshot_s=2,
            keep_days="all=0",
        )

    def _live(self, roles: Roles, broker: Mosquitto, receiver: Receiver) -> None:
        """Publish everything in as many pieces as there are kills, each kill at a seeded moment after its piece."""
        began = time.monotonic()
        for role in ("lane", "bridge", "notifier"):
            roles.start(role)
            wait(f"{role} starts", lambda role=role: roles.alive(role), self.size.patience_s)  # type: ignore[misc]
        victims = [role for role in ROLES for _ in range(self.size.kills)]
        self.rng.shuffle(victims)
        sent, publisher = self.book.sent, Publisher(broker.port)
        step = -(-len(sent) // (len(victims) + 1))
        for i in range(len(victims) + 1):
            for message in sent[i * step : (i + 1) * step]:
                publisher.send(message.topic, message.payload)
            if i < len(victims):
                wait(f"{victims[i]} is back", lambda i=i: roles.alive(victims[i]), self.size.patience_s)  # type: ignore[misc]
                time.sleep(self.rng.uniform(0.0, 1.5))  # the seeded moment
                roles.kill(victims[i])
                roles.start(victims[i])
        publisher.settle(60)
        publisher.close()
        self.result |= {"kills": len(victims), "live_s": round(time.monotonic() - began, 1)}

    def _drain(self, roles: Roles, system: System, receiver: Receiver) -> None:
        """Until the log has every message that was sent, the lane has read it all, and the notifier has told it all."""
        settings, patience = system.settings, self.size.patience_s
        log = open_log(settings.log(), settings.topic_prefix)
        try:
            wanted = {s.payload for s in self.book.sent}

            def arrived() -> bool:
                away = [role for role in WORDS if not roles.alive(role)]
                total = sum(end - first for first, end in log.bounds(RAW).values())
                return not away and total >= len(self.book.sent) and wanted <= {row[4] for row in read_all(log, RAW)}

            wait("every message in the log", arrived, patience)

            def stored() -> bool:
                roles.alive("lane")
                ends = {p: end for p, (_, end) in log.bounds(RAW).items() if end}
                found = system.store.query("SELECT partition_no AS p, position FROM progress")
                return ends == {r["p"]: r["position"] for r in found if r["position"]}

            wait("everything stored", stored, patience)
            self.result["lane_exit"] = roles.stop("lane")
            system.command("run", "all", "--until-end")
            ids = {json.loads(row[4])["transition_id"] for row in read_all(log, TRANSITIONS)}
            live = {t.transition_id for t in self._transitions(log) if not t.backfilled}
            self.result |= {"transitions": len(ids), "alerts_live": len(live)}

            def told() -> bool:
                roles.alive("notifier")
                return not complaints(self._live_transitions(log), self._messages(receiver), "hook")

            try:
                wait("every alert delivered", told, 30)
            except TimeoutError:
                self.wrong += [
                    f"alerts: {c}" for c in complaints(self._live_transitions(log), self._messages(receiver), "hook")
                ]
        finally:
            log.close()

    def _transitions(self, log: Any) -> list[Transition]:
        """Transitions of the log, each once, in order within a partition."""
        found = [msgspec.json.decode(row[4], type=Transition) for row in sorted(read_all(log, TRANSITIONS))]
        return list({t.transition_id: t for t in found}.values())

    def _live_transitions(self, log: Any) -> list[Transition]:
        return [t for t in self._transitions(log) if not t.backfilled]

    @staticmethod
    def _messages(receiver: Receiver) -> list[tuple[str, str, str]]:
        posts = [(p.headers["webhook-id"], p.json) for p in receiver.taken]
        return [(i, j["type"], j["data"]["dedup_key"]) for i, j in posts if "dedup_key" in j["data"]]

    def _check(self, system: System, receiver: Receiver) -> None:
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
        taken = self._messages(receiver)
        self.result |= {
            "stored_rows": stored,
            "duplicate_rows": system.rows("duplicates"),
            "posts": len(taken),
            "posts_repeated": len(taken) - len(set(taken)),
        }
        if not taken:
            self.wrong.append("no alert was live: nothing is shown")


def run(size: str, seed: int, log_url: str, folder: Path, say: Callable[[str], None]) -> Run:
    made = Run(SIZES[size], seed, log_url, folder, say)
    say(f"kills, seed {seed}, {log_url.split(':')[0] or 'sqlite'}: {made.result}")
    made.run()
    say(f"  {'ok' if not made.wrong else 'WRONG'} {made.result}")
    for line in made.wrong[:20]:
        say(f"    {line}")
    return made


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="tests.chaos.kills")
    parser.add_argument("--size", choices=sorted(SIZES), default="full")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--log", choices=("sqlite", "kafka", "both"), default="both")
    given = parser.parse_args(words)
    said: dict[str, Any] = {"proof": "kills", "seed": given.seed}
    wrong = 0
    for name in ("sqlite", "kafka") if given.log == "both" else (given.log,):
        with tempfile.TemporaryDirectory() as folder:
            if name == "kafka":
                with kafka_broker() as kafka:
                    made = run(given.size, given.seed, kafka.url, Path(folder), lambda line: print(line, flush=True))
            else:
                made = run(given.size, given.seed, "", Path(folder), lambda line: print(line, flush=True))
        said[name] = {**made.result, "wrong": len(made.wrong)}
        wrong += len(made.wrong)
    print(json.dumps(said))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
