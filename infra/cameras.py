"""The role `camera`: asks the network cameras of the registry for their counts and heat maps, and logs what they answer.

Delivery: at least once into topic `raw`; how far each camera is known is written down only after the log has the answer, so an
interruption asks again and the copies are told. Parallelism: cameras side by side, each with one request at a time. Back
pressure: nothing is asked while the log takes nothing. Lost: what a camera no longer keeps (seven days).

A record is the answer as it came, below a first line `#camera <device> <zone> <query>`; rows of hours that have not begun are
left out. One query that fails (a camera without that map) holds up no other.
"""

import json
import threading
import time
import tomllib
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from connectors.camera import CameraError, Login, fetch
from connectors.log import RAW, LogError, LogFull, NewRecord, Writer
from infra.bridge import ArrivalClock
from infra.errors import Problem
from infra.say import say as spoken
from operators.camera_plan import Ask, begun, done_after, next_ask
from operators.images import strip
from schemas.sites import Device, Registry

AT_ONCE = 32
"""Cameras that are asked side by side at most."""
PAUSE_S = (60.0, 900.0)
"""After a failure a query rests, longer with each one, up to the second figure."""

Fetch = Callable[[str, str, Login], bytes]


def say(line: str, level: str = "info") -> None:
    """One event of the role's log."""
    spoken("camera", line, level)


def logins_of(path: Path | None) -> dict[str, Login]:
    """Logins by device in lower case, `default` for all others. Raises Problem."""
    if path is None:
        return {}
    try:
        content = tomllib.loads(path.read_text())
    except OSError as error:
        raise Problem(f"camera: cannot read {path}: {error.strerror}; check path and rights") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):
        raise Problem(f'camera: {path} is no TOML; write ["<device>"] tables with user and password') from None
    found = {}
    for device, entry in content.items():
        said = entry if isinstance(entry, dict) else {}
        if said.keys() != {"user", "password"} or not all(isinstance(value, str) for value in said.values()):
            raise Problem(f"camera: {path}: [{device}] needs user and password, both texts, and nothing else")
        found[device.lower().replace(":", "")] = Login(**said)
    return found


@dataclass
class Query:
    """One query of one camera: how far it is known (epoch s), when it is next asked, what went wrong; digest of its answer."""

    device: Device
    zone: str
    name: str
    login: Login
    done: int | None = None
    due: float = 0.0
    pause: float = PAUSE_S[0]
    trouble: str = ""
    last: bytes = b""

    @property
    def key(self) -> str:
        return f"{self.device.id} {self.name}"


def queries_of(registry: Registry, logins: dict[str, Login]) -> list[Query]:
    """Every query of every camera that the registry names."""
    default = logins.get("default", Login())
    return [
        Query(device, device.camera_zone or site.zone, name, logins.get(device.id, default))
        for site in registry.sites.values()
        for device in site.devices.values()
        if device.camera
        for name in device.camera_queries
    ]


@dataclass
class Stats:
    """Since the start."""

    asked: int = 0
    logged: int = 0
    unchanged: int = 0
    failed: int = 0
    MEANING: dict[str, str] = field(
        default_factory=lambda: {
            "asked": "requests to cameras",
            "logged": "answers that the log has",
            "unchanged": "answers that were the same as the one before and not logged again",
            "failed": "requests that had no answer that can be used",
        },
        repr=False,
    )


class Poller:
    """Asks until `stop`. `every_s`: how often what may have grown is asked for again. `clock`: epoch seconds."""

    def __init__(
        self,
        queries: list[Query],
        open_writer: Callable[[], Writer],
        registry: Registry,
        file: Path,
        every_s: float,
        clock: Callable[[], float] = time.time,
        fetch: Fetch = fetch,
        tell: Callable[[str], None] = say,
    ) -> None:
        self.queries, self.stats, self.stop = queries, Stats(), threading.Event()
        self._open_writer, self._writer = open_writer, open_writer()
        self._registry, self._file, self._every_s = registry, file, every_s
        self._clock, self._fetch, self._tell = clock, fetch, tell
        self._arrival = ArrivalClock(lambda: int(clock() * 1000))
        self._log_trouble = ""
        known = _read(file)
        for query in queries:
            query.done = known.get(query.key)

    def run(self, once: bool = False) -> None:
        """Ask until `stop` is set. `once`: until everything that can be asked for now has been asked for."""
        try:
            self._run(once)
        finally:
            self._writer.close()

    def _run(self, once: bool) -> None:
        busy: dict[str, tuple[Future[bytes], Query, Ask, float]] = {}
        with ThreadPoolExecutor(max(1, min(AT_ONCE, len({q.device.id for q in self.queries}))), "camera") as pool:
            while not self.stop.is_set():
                now = self._clock()
                for query in self.queries:
                    ask = None if query.device.id in busy or query.due > now else self._next(query, now)
                    if ask is not None:
                        self.stats.asked += 1
                        future = pool.submit(self._fetch, query.device.camera, ask.path, query.login)
                        busy[query.device.id] = (future, query, ask, now)
                if not busy:
                    if once:
                        return
                    self.stop.wait(1.0)
                    continue
                done, _ = wait([future for future, *_ in busy.values()], 1.0, FIRST_COMPLETED)
                for device, (future, query, ask, asked_at) in list(busy.items()):
                    if future in done:
                        del busy[device]
                        self._take(future, query, ask, asked_at)
            for future, *_ in busy.values():
                future.cancel()

    def _next(self, query: Query, now: float) -> Ask | None:
        ask = next_ask(query.name, query.done, int(now), ZoneInfo(query.zone))
        if ask is None:
            query.due = now + self._every_s
        return ask

    def _take(self, future: "Future[bytes]", query: Query, ask: Ask, asked_at: float) -> None:
        try:
            text = future.result()
        except CameraError as error:
            self.stats.failed += 1
            self._rest(query, f"{error} ({query.name})")
            return
        except Exception as error:  # a fault of ours in one answer must not stop the other cameras
            self.stats.failed += 1
            self._rest(query, f"camera {query.device.id}: {type(error).__name__}: {error} ({query.name})")
            return
        digest = blake2b(ask.path.encode() + text, digest_size=16).digest()
        if digest == query.last:
            self.stats.unchanged += 1
        elif not self._log(query, ask, text):
            return
        query.last = digest
        now = int(asked_at)
        query.done = done_after(ask, now, ZoneInfo(query.zone))
        if query.trouble:
            self._tell(f"camera {query.device.id} answers again ({query.name})")
        query.trouble, query.pause = "", PAUSE_S[0]
        if ask.end > now:
            query.due = asked_at + self._every_s
        try:
            _write(self._file, {one.key: one.done for one in self.queries if one.done is not None})
        except OSError as error:
            self._tell(f"cannot write {self._file}: {error.strerror}; after a restart seven days are asked for again")

    def _rest(self, query: Query, why: str) -> None:
        if why != query.trouble:
            self._tell(f"{why}; the camera keeps seven days")
        query.trouble, query.due = why, self._clock() + query.pause
        query.pause = min(2 * query.pause, PAUSE_S[1])

    def _log(self, query: Query, ask: Ask, text: bytes) -> bool:
        arrival = self._arrival()
        head = f"#camera {query.device.id} {query.zone} {ask.words}\n".encode()
        site, _ = self._registry.find(query.device.id, arrival / 1000)
        headers = (("topic", f"camera/{query.device.id}/{query.name}".encode()), ("source", b"camera"))
        value, _ = strip(head + begun(text, ask.last))
        try:
            self._writer.append_many(RAW, [NewRecord(site.id, value, arrival, headers)])
        except LogError as error:
            self._log_failed(error)
            query.due = self._clock() + PAUSE_S[0]
            return False
        self._log_trouble = ""
        self.stats.logged += 1
        return True

    def _log_failed(self, error: LogError) -> None:
        if str(error) != self._log_trouble:
            self._tell(f"{error}; cameras keep what they have, it is asked for again")
        self._log_trouble = str(error)
        if not isinstance(error, LogFull):  # a writer that failed for another reason than room may be dead
            self._writer.close()
            with suppress(LogError):  # then the closed one refuses again, and says why
                self._writer = self._open_writer()

    def health(self) -> dict[str, Any]:
        """What the role says of itself at `/health`; a camera that is away is a trouble of its own, not of the role."""
        return {
            "ok": not self._log_trouble,
            "log": self._log_trouble or "ok",
            "cameras": len({query.device.id for query in self.queries}),
            "troubles": {query.key: query.trouble for query in self.queries if query.trouble},
        }

    def collect(self) -> Iterable[Metric]:
        """The metrics, for a prometheus registry."""
        for name, meaning in self.stats.MEANING.items():
            yield CounterMetricFamily(f"footstream_camera_{name}", meaning, value=getattr(self.stats, name))
        ok = GaugeMetricFamily("footstream_camera_ok", "1 while the query is answered", labels=["device", "query"])
        behind = GaugeMetricFamily(
            "footstream_camera_behind_seconds", "now minus the time up to which everything is known", labels=["device", "query"]
        )
        for query in self.queries:
            ok.add_metric([query.device.id, query.name], float(not query.trouble))
            if query.done is not None:
                behind.add_metric([query.device.id, query.name], self._clock() - query.done)
        yield from (ok, behind)


def _read(file: Path) -> dict[str, int]:
    """How far each query was known; nothing when the file is gone or broken: then seven days are asked for again."""
    try:
        said = json.loads(file.read_text())
        return {key: value for key, value in said.items() if isinstance(value, int)}
    except (OSError, ValueError, AttributeError):
        return {}


def _write(file: Path, done: dict[str, int]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(done) + "\n")
    fresh.replace(file)


__all__ = ["Poller", "Query", "logins_of", "queries_of"]
