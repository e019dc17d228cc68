"""A real Apache Kafka on free ports of loopback: one node without ZooKeeper, from Maven's artefacts.

The jars are fetched once into `.cache/kafka` of the working tree (the XDG cache when that is not writable).
Needs Java 17 and Maven.
"""

import base64
import fcntl
import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType
from zlib import crc32

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.support.ports import free_port

_HERE = Path(__file__).resolve().parent
_POM = _HERE / "kafka_pom.xml"
_JAVA = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
_LOGGING = """<Configuration status="OFF">
<Appenders><Console name="out" target="SYSTEM_OUT"><PatternLayout pattern="%d %p %c %m%n"/></Console></Appenders>
<Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers></Configuration>
"""


def _cache() -> Path:
    tree = _HERE.parents[1]
    if os.access(tree, os.W_OK):
        return tree / ".cache" / "kafka"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "footstream" / "kafka"


def kafka_jars() -> Path:
    """The folder with the broker's jars; fetched by Maven when it is not there (about 10 s, 43 MB)."""
    cache = _cache()
    cache.mkdir(parents=True, exist_ok=True)
    lib = cache / f"lib-{crc32(_POM.read_bytes()):08x}"  # another pom, another folder
    with (cache / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs at once fetch it once
        if not lib.exists():
            draft = cache / "draft"
            shutil.rmtree(draft, ignore_errors=True)
            goal = ["dependency:copy-dependencies", f"-DoutputDirectory={draft}", "-DincludeScope=runtime"]
            subprocess.run(["mvn", "-q", "-B", "-f", str(_POM), *goal], check=True, timeout=300, stdout=subprocess.DEVNULL)
            draft.rename(lib)
    return lib


def _cluster_id() -> str:
    """A random cluster id as Kafka writes them. One in 64 starts with a dash, so it is passed as `--cluster-id=`."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


class KafkaBroker:
    """A broker with its own folder: context manager, or `start()` and `stop()`. It keeps ports and data over restarts."""

    def __init__(self, **properties: str) -> None:
        """`properties` have `_` for `.`. Before the first start: `exact` takes those by their own names, `scram` users as
        Kafka's own tool wants them."""
        self.exact: dict[str, str] = {}
        self.cluster_id, self.heap_mib = _cluster_id(), 512
        self.scram: tuple[str, ...] = ()
        self.port, self.controller = free_port(), free_port()
        self.folder = Path(mkdtemp(prefix="kafka-"))
        self._extra = properties
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"kafka://{self.bootstrap}"

    @property
    def pid(self) -> int:
        assert self.process is not None, "the broker is not running"
        return self.process.pid

    def start(self, seconds: float = 60.0) -> None:
        """Start and wait until it answers; TimeoutError with its log otherwise."""
        self.launch()
        self.wait(seconds)

    def launch(self) -> None:
        """Start and wait for nothing: alone, one of several never answers."""
        config = self.folder / "server.properties"
        if not config.exists():
            self._format(config)
        with (self.folder / "kafka.log").open("ab") as log:
            self.process = subprocess.Popen(self._java("kafka.Kafka", str(config)), stdout=log, stderr=log, cwd=self.folder)

    def stop(self, seconds: float = 15.0) -> None:
        """SIGTERM, then SIGKILL."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        self.process = None

    def kill9(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        if self.process is not None:
            self.process.wait(10)
        self.process = None

    def restart(self) -> None:
        """Stop and start with the same ports and data."""
        self.stop()
        self.start()

    def log(self) -> str:
        return (self.folder / "kafka.log").read_text(errors="replace")

    def __enter__(self) -> "KafkaBroker":
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.process is not None:
            self.kill9()  # nobody needs its data any more: an orderly stop takes two seconds
        shutil.rmtree(self.folder, ignore_errors=True)

    def _java(self, program: str, *arguments: str) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={self.folder / 'log4j2.xml'}"
        return ["java", f"-Xmx{self.heap_mib}m", *_JAVA, logging, "-cp", f"{kafka_jars()}/*", program, *arguments]

    def _format(self, config: Path) -> None:
        (self.folder / "log4j2.xml").write_text(_LOGGING)
        config.write_text("".join(f"{name}={value}\n" for name, value in self._properties().items()))
        command = self._java("kafka.tools.StorageTool", "format", f"--cluster-id={self.cluster_id}", "-c", str(config))
        command += [word for user in self.scram for word in ("--add-scram", user)]
        done = subprocess.run(command, capture_output=True, timeout=60, text=True)
        if done.returncode:
            raise RuntimeError(f"Kafka could not format its folder: {done.stdout}{done.stderr}")

    def _properties(self) -> dict[str, str]:
        broker, controller = f"127.0.0.1:{self.port}", f"127.0.0.1:{self.controller}"
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{broker}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dirs": str(self.folder / "data"),
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "auto.create.topics.enable": "false",
            "broker.session.timeout.ms": "2500",  # after SIGKILL a start waits this long; the default is nine seconds
            "broker.heartbeat.interval.ms": "500",
            **{name.replace("_", "."): value for name, value in self._extra.items()},
            **self.exact,
        }

    def wait(self, seconds: float, brokers: int = 1) -> None:
        """Until it answers and knows of so many brokers."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0, "reconnect.backoff.max.ms": 100})
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process is not None and self.process.poll() is not None:
                raise RuntimeError(f"Kafka ended with {self.process.returncode}: {self.log()[-2000:]}")
            try:
                if len(admin.list_topics(timeout=0.5).brokers) >= brokers:
                    return
            except KafkaException:
                pass
        raise TimeoutError(f"Kafka does not answer after {seconds} s: {self.log()[-2000:]}")


@contextmanager
def kafka_broker(**properties: str) -> Iterator[KafkaBroker]:
    """A running broker of one's own; `properties` with `_` for `.` go into its configuration."""
    with KafkaBroker(**properties) as broker:
        yield broker
