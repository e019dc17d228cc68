"""The roles that a configuration asks for, as child processes for the supervisor."""

import json
import socket
import sys
import urllib.error
import urllib.request
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path

from infra.broker import EmbeddedBroker
from infra.errors import Problem
from infra.settings import Settings
from infra.supervisor import Ready, Role

LANE = "run-0"
"""Name under which the one lane of a machine says its health."""


def footstream(*words: str) -> tuple[str, ...]:
    """The command line of one of our own commands."""
    return (sys.executable, "-m", "infra", *words)


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def health(data: Path, role: str) -> dict[str, object] | None:
    """What a role says of itself at `/health`; None when it does not answer. `pid` is always there."""
    try:
        said = json.loads((data / "run" / f"{role}.json").read_text())
        with urllib.request.urlopen(f"http://127.0.0.1:{said['port']}/health", timeout=1.0) as answer:
            words = json.loads(answer.read())
    except urllib.error.HTTPError as error:
        try:
            words = json.loads(error.read())
        except ValueError:
            return None
    except (OSError, HTTPException, ValueError, KeyError):
        return None
    return {**words, "pid": said["pid"]} if isinstance(words, dict) else None


def healthy(data: Path, role: str) -> Ready:
    """Ready when the process itself says that it is well."""

    def ready(pid: int) -> bool:
        said = health(data, role)
        return said is not None and said["pid"] == pid and bool(said.get("ok"))

    return ready


def answers(url: str) -> Ready:
    """Ready when a GET is answered with 200."""

    def ready(_: int) -> bool:
        try:
            with urllib.request.urlopen(url, timeout=1.0) as answer:
                return bool(answer.status == 200)
        except (OSError, HTTPException):  # nobody, or somebody who speaks another protocol
            return False

    return ready


def listens(port: int) -> Ready:
    """Ready when something accepts connections on loopback."""

    def ready(_: int) -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
            return True
        except OSError:
            return False

    return ready


def check_ports(settings: Settings) -> None:
    """Refuse to start when a port of an embedded part is taken. Raises Problem with the setting that changes it."""
    wanted = [("board and API", settings.api_port, settings.api_host, "FOOTSTREAM_API_PORT", "")]
    if place := settings.http_place():
        wanted.append(("HTTP ingress", place[1], place[0], "FOOTSTREAM_HTTP", ""))
    if settings.embedded_store():
        wanted.append(("embedded store", settings.store_port, "127.0.0.1", "FOOTSTREAM_STORE_PORT", "FOOTSTREAM_STORE"))
    if settings.embedded_broker():
        wanted.append(("embedded MQTT broker", settings.mqtt_port, "127.0.0.1", "FOOTSTREAM_MQTT_PORT", "FOOTSTREAM_MQTT"))
    for what, port, host, setting, other in wanted:
        if not port_free(port, host):
            hint = f", or name that server in {other}" if other else ""
            raise Problem(f"{what}: port {port} is in use; stop what listens there, set another {setting}{hint}")


def environment_of(settings: Settings) -> dict[str, str]:
    """Settings for the child processes, where the embedded parts have their URLs."""
    # FOOTSTREAM_METRICS is for one process: here that is the supervisor.
    own = replace(settings, data=settings.data.absolute(), log_url=settings.log(), store_url=settings.store(), metrics="")
    if settings.embedded_broker():
        own = replace(
            own, mqtt_url=settings.mqtt(), mqtt_version=min(settings.mqtt_version, EmbeddedBroker(settings.data).version)
        )
    return own.environment()


def roles_of(settings: Settings) -> list[Role]:
    """The roles in the order of their start. What is embedded is among them; `notify` only with receivers to send to."""
    data = settings.data.absolute()
    roles: list[Role] = []
    if settings.embedded_broker():
        command = (sys.executable, "-m", "infra.broker_role", str(data), str(settings.mqtt_port))
        roles.append(Role("broker", command, listens(settings.mqtt_port), dies_clean=True))
    if settings.embedded_store():
        # The store has to know that it is the embedded one: no URL, only its port.
        roles.append(
            Role("store", footstream("store"), answers(f"{settings.store()}/ping"), environment={"FOOTSTREAM_STORE": ""})
        )
    roles.append(Role("migrate", footstream("migrate"), after=_there(roles, "store"), once=True))
    roles.append(Role("bridge", footstream("bridge"), healthy(data, "bridge"), after=_there(roles, "broker")))
    if settings.http:
        roles.append(Role("http", footstream("http"), healthy(data, "http")))
    if settings.cameras is not None:
        roles.append(Role("camera", footstream("camera"), healthy(data, "camera")))
    flows = [f.strip() for f in settings.flows.split(",") if f.strip()]
    roles.append(Role("run", footstream("run", *flows), healthy(data, LANE), after=("migrate",)))
    if settings.receivers is not None:
        roles.append(Role("notify", footstream("notify"), healthy(data, "notify"), after=("migrate",)))
    board = f"http://{settings.api_host}:{settings.api_port}/health"
    roles.append(Role("serve", footstream("serve"), answers(board), after=("migrate",)))
    return roles


def _there(roles: list[Role], *names: str) -> tuple[str, ...]:
    return tuple(role.name for role in roles if role.name in names)
