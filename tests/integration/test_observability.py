"""What a whole installation tells from outside: its metrics are those of the page and the rules, its log is one event per line,
and no secret stands in either."""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import paho.mqtt.client as mqtt
import promql_parser
import pytest
import yaml
from paho.mqtt.enums import CallbackAPIVersion

from dashboards import health
from schemas.sensors.vs13x import SAMPLES
from tests.support.bridge import wait_until
from tests.support.deployment import ROLES, Deployment
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "metrics.md"
RULES = ROOT / "infra" / "prometheus" / "footstream.rules.yml"
SECRET = "hunter2-%s-Zq9"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Every role, speaking JSON, with a secret in every place that takes one, after one message."""
    planted = {name: SECRET % name for name in ("mqtt_password", "store_password", "reader_password")}
    os.environ["DESK_URL"] = f"http://127.0.0.1:{free_port()}/{SECRET % 'hook'}"
    try:
        made = Deployment(
            tmp_path_factory.mktemp("up"), log_format="json", log_options=f"sasl.password={SECRET % 'log'}", **planted
        )
    finally:
        del os.environ["DESK_URL"]
    with made:
        client = mqtt.Client(CallbackAPIVersion.VERSION2)
        client.connect("127.0.0.1", int(made.environment["FOOTSTREAM_MQTT_PORT"]))
        client.loop_start()
        client.publish("site/door", SAMPLES[0].payload, qos=1).wait_for_publish(10)
        client.publish("site/door", b"{", qos=1).wait_for_publish(10)
        client.loop_stop()
        client.disconnect()
        wait_until(lambda: _value(made.metrics("run-0"), "footstream_lane_path_seconds_count") > 0, 90, made.said)
        yield made


def _value(text: str, name: str) -> float:
    found = re.search(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else float("nan")


def exported(running: Deployment, role: str) -> dict[str, str]:
    """Metric -> type, as the role says it; without those of the process and of Python."""
    found = re.findall(r"^# TYPE (footstream_\w+) (\w+)$", running.metrics(role), re.MULTILINE)
    assert len(found) == len(dict(found)), "one metric twice"
    return dict(found)


def listed() -> dict[str, dict[str, str]]:
    """Heading -> metric -> type, as the page has it."""
    page: dict[str, dict[str, str]] = {}
    for heading, body in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        page[heading] = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", body, re.MULTILINE))
    return page


def test_the_page_of_metrics_is_what_the_roles_export(running: Deployment) -> None:
    page = listed()
    for role in ROLES:
        assert exported(running, role) == {**page["Every role"], **page[role.partition("-")[0]]}, role
    assert set(page) == {"Every role"} | {role.partition("-")[0] for role in ROLES}


def test_what_came_is_counted_and_every_role_says_that_it_is_well(running: Deployment) -> None:
    lane = running.metrics("run-0")
    assert _value(lane, "footstream_lane_received_messages_total") == 2
    assert 'footstream_lane_quarantined_total{reason="not_json"} 1.0' in lane
    for role in ROLES:
        assert f'footstream_role_ok{{role="{role}"}} 1.0' in running.metrics(role)
        assert _value(running.metrics(role), "process_resident_memory_bytes") > 1e6


def _names(node: object) -> Iterator[str]:
    """Metrics that a parsed expression selects."""
    if isinstance(node, promql_parser.VectorSelector):
        yield str(node.name)
    for part in ("lhs", "rhs", "expr", "vector_selector", "vs", "param"):
        if (inner := getattr(node, part, None)) is not None:
            yield from _names(inner)
    for inner in getattr(node, "args", None) or ():
        yield from _names(inner)


def test_every_metric_of_a_rule_is_exported_with_the_labels_that_the_rule_uses(running: Deployment) -> None:
    texts = {role: running.metrics(role) for role in ROLES}
    known = {m for role in ROLES for m in exported(running, role)} | {"up", "process_start_time_seconds"}
    histograms = {m for role in ROLES for m, kind in exported(running, role).items() if kind == "histogram"}
    known |= {f"{m}_{part}" for m in histograms for part in ("bucket", "sum", "count")}
    used = {name for rule in rules() for name in _names(promql_parser.parse(rule["expr"]))}
    assert used and used <= known, used - known
    for label in {label for rule in rules() for label in re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))} - {
        "instance"
    }:
        assert any(f'{label}="' in text for text in texts.values()), label


def test_every_metric_of_the_board_of_the_roles_is_exported_with_the_labels_of_its_legends(running: Deployment) -> None:
    texts = {role: running.metrics(role) for role in ROLES}
    kinds = {m: kind for role in ROLES for m, kind in exported(running, role).items()}
    known = {f"{m}_{part}" for m, kind in kinds.items() if kind == "histogram" for part in ("bucket", "sum", "count")}
    known |= kinds.keys() | {"up", "process_resident_memory_bytes", "process_cpu_seconds_total"}
    for legend, asked in ((name, text) for panel in health.PANELS for name, text in panel.asked.items()):
        used = set(_names(promql_parser.parse(asked.replace("$__rate_interval", "5m"))))
        assert used and used <= known, (legend, used - known)
        for label in set(re.findall(r"{{(\w+)}}", legend)) - {"instance"}:
            assert any(f'{label}="' in text for text in texts.values()), label


def rules() -> list[dict[str, str]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def test_every_line_of_the_log_is_one_event(running: Deployment) -> None:
    for line in running.said().splitlines():
        event = json.loads(line)
        assert list(event)[:4] == ["time", "level", "role", "event"] and event["level"] in ("info", "warning", "error")


def test_no_secret_stands_in_the_log_in_health_or_in_metrics(running: Deployment) -> None:
    said = running.said() + "".join(running.metrics(role) for role in ROLES)
    for place in (running.folder / "data" / "run").iterdir():
        said += place.read_text()
    assert "hunter2" not in said


BROKEN = {
    "urls": {
        "commands": "bridge,run all,serve,doctor,config",
        "mqtt": "mqtt://reader:{secret}@127.0.0.1:{port}",
        "log": "kafka://reader:{secret}@127.0.0.1:{port}",
        "store": "http://writer:{secret}@127.0.0.1:{port}",
    },
    "peers that are away": {
        "commands": "bridge,notify,serve,sql SELECT",
        "mqtt": "mqtt://reader@127.0.0.1:{port}",
        "log": "sqlite:///{folder}/log",
        "store": "http://127.0.0.1:{port}",
        "receivers": "{folder}/receivers.toml",
    },
    "a comma in a password": {
        "commands": "run all,notify,doctor",
        "mqtt": "mqtt://reader@127.0.0.1:{port}",
        "log": "kafka://127.0.0.1:{port}",
        "store": "http://127.0.0.1:{port}",
        "log_options": "sasl.username=u,sasl.password={secret},{secret}",
    },
}


def _ended(command: str, environment: dict[str, str], said: list[str]) -> None:
    """Run a command until it has ended, or has said something and waits for its peers."""
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra", *command.split()], cwd=ROOT, env=environment, stdout=out, stderr=out
        )
        wait_until(lambda: process.poll() is not None or os.fstat(out.fileno()).st_size > 0, 60, lambda: command)
        with suppress(subprocess.TimeoutExpired):
            process.wait(2)
        process.kill()
        process.wait(10)
        out.seek(0)
        said.append(f"{command}: {out.read()}")


def _environment(folder: Path, case: str) -> dict[str, str]:
    folder.mkdir()
    (folder / "receivers.toml").write_text(
        f'[receivers.desk]\nkind = "slack"\nurl_env = "DESK"\nsecret = "{SECRET % "file"}"\n'
    )
    port = free_port()
    broken = {name: value for name, value in BROKEN[case].items() if name != "commands"}
    given = {name: value.format(secret=SECRET % name, port=port, folder=folder) for name, value in broken.items()}
    given |= {name: SECRET % name for name in ("mqtt_password", "store_password", "reader_password")}
    given |= {"data": str(folder / "data"), "api_port": "0"}
    clean = {k: v for k, v in os.environ.items() if not k.startswith("FOOTSTREAM_")} | {"DESK": SECRET % "desk"}
    return clean | {f"FOOTSTREAM_{name.upper()}": value for name, value in given.items()}


def test_no_secret_stands_in_what_a_role_says_of_its_errors(tmp_path: Path) -> None:
    said = list[str]()
    waiting = [
        threading.Thread(target=_ended, args=(command, environment, said))
        for case in BROKEN
        for environment in [_environment(tmp_path / case, case)]
        for command in BROKEN[case]["commands"].split(",")
    ]
    for thread in waiting:
        thread.start()
    for thread in waiting:
        thread.join()
    assert len(said) == len(waiting) and all(text.partition(": ")[2].strip() for text in said), said
    assert "hunter2" not in "\n".join(said), "\n".join(line for text in said for line in text.splitlines() if "hunter2" in line)
