"""Compose file, manifests and Dockerfile against what the program knows: schemas, settings, ports, pinned tags.

Not checked here, because neither runs here: that the images exist under their tags, that Compose and a cluster start them, that
ClickHouse takes the users file.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from infra.settings import Settings, load

ROOT = Path(__file__).parents[3]
COMPOSE = ROOT / "infra" / "compose"
MANIFESTS = ROOT / "infra" / "kubernetes"
KUBERNETES = ("1.32", "1.37")
SETTINGS = {f"FOOTSTREAM_{f.metadata['env']}" for f in fields(Settings)}
SECRETS = {f"FOOTSTREAM_{f.metadata['env']}" for f in fields(Settings) if f.metadata["secret"]}
NEEDS = {
    "migrate": {"FOOTSTREAM_STORE", "FOOTSTREAM_STORE_PASSWORD"},
    "bridge": {
        "FOOTSTREAM_MQTT",
        "FOOTSTREAM_MQTT_PASSWORD",
        "FOOTSTREAM_LOG",
        "FOOTSTREAM_LOG_PARTITIONS",
        "FOOTSTREAM_SITES",
    },
    "http": {
        "FOOTSTREAM_HTTP",
        "FOOTSTREAM_API_TOKENS",
        "FOOTSTREAM_LOG",
        "FOOTSTREAM_LOG_PARTITIONS",
        "FOOTSTREAM_SITES",
    },
    "camera": {"FOOTSTREAM_CAMERAS", "FOOTSTREAM_LOG", "FOOTSTREAM_LOG_PARTITIONS", "FOOTSTREAM_SITES"},
    "run": {"FOOTSTREAM_LOG", "FOOTSTREAM_LOG_PARTITIONS", "FOOTSTREAM_STORE", "FOOTSTREAM_STORE_PASSWORD", "FOOTSTREAM_SITES"},
    "notify": {"FOOTSTREAM_LOG", "FOOTSTREAM_STORE", "FOOTSTREAM_READER_PASSWORD", "FOOTSTREAM_RECEIVERS"},
    "serve": {
        "FOOTSTREAM_STORE",
        "FOOTSTREAM_READER_PASSWORD",
        "FOOTSTREAM_API_HOST",
        "FOOTSTREAM_API_TOKENS",
        "FOOTSTREAM_SITES",
    },
}
"""What each role cannot do without once it runs apart from the others; all of them also need a place for /health."""
PINNED = re.compile(r"[a-z0-9./-]+:[0-9]+(\.[0-9]+)+[a-z0-9.-]*")


def env_file() -> dict[str, str]:
    lines = (COMPOSE / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def compose() -> dict[str, Any]:
    """The Compose file with the values of `.env` put in."""
    values = env_file()
    used: set[str] = set()

    def value(found: re.Match[str]) -> str:
        used.add(found[1])
        return values[found[1]]

    text = re.sub(r"\$\{(\w+):\?\}", value, (COMPOSE / "compose.yaml").read_text())
    assert used == set(values), f"in .env and nowhere used: {set(values) - used}"
    made: dict[str, Any] = yaml.safe_load(text)
    return made


def ours() -> dict[str, dict[str, Any]]:
    return {n: s for n, s in compose()["services"].items() if s["image"] == env_file()["FOOTSTREAM_IMAGE"]}


def documents() -> Iterator[dict[str, Any]]:
    names = yaml.safe_load((MANIFESTS / "kustomization.yaml").read_text())["resources"]
    assert {p.name for p in MANIFESTS.glob("*.yaml")} == {*names, "kustomization.yaml"}
    for name in names:
        yield from yaml.safe_load_all((MANIFESTS / name).read_text())


def workloads() -> dict[str, dict[str, Any]]:
    """Name -> pod of everything that runs."""
    return {d["metadata"]["name"]: d["spec"]["template"]["spec"] for d in documents() if "template" in d.get("spec", {})}


def config() -> dict[str, str]:
    return next(d["data"] for d in documents() if d["kind"] == "ConfigMap")


def check(role: str, environment: dict[str, Any], tmp_path: Path) -> None:
    """Names that no setting has, values that no setting takes and settings that the role needs are told."""
    given = {k: str(v) for k, v in environment.items() if k.startswith("FOOTSTREAM_")}
    load(given, tmp_path)
    assert NEEDS[role] | {"FOOTSTREAM_METRICS"} <= set(given), NEEDS[role] - set(given)


def test_every_role_of_compose_has_settings_that_exist_and_all_that_it_needs(tmp_path: Path) -> None:
    services = ours()
    assert {s["command"][0] for s in services.values()} == set(NEEDS)
    for service in services.values():
        check(service["command"][0], service["environment"], tmp_path)
        assert service["read_only"] and service["user"] == "10001:10001" and service["cap_drop"] == ["ALL"]


def test_services_of_compose_name_each_other_and_their_volumes_rightly() -> None:
    file = compose()
    for name, service in file["services"].items():
        assert PINNED.fullmatch(service["image"]), f"{name}: {service['image']}"
        assert set(service.get("depends_on", {})) <= set(file["services"])
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in file["volumes"] or source.startswith("."), f"{name}: {volume}"
        for setting in ("FOOTSTREAM_MQTT", "FOOTSTREAM_LOG", "FOOTSTREAM_STORE"):
            if address := service.get("environment", {}).get(setting):
                assert re.split(r"//|@|:", address)[-2] in file["services"]
    for path in ("mosquitto.conf", "clickhouse-users.xml"):
        assert (COMPOSE / path).exists()
    lanes = [s["command"][3] for s in ours().values() if s["command"][0] == "run"]
    assert sorted(lanes) == [f"{i}/{len(lanes)}" for i in range(len(lanes))]


def test_ports_of_compose_are_those_that_the_roles_listen_on_and_only_mqtt_is_open() -> None:
    services = compose()["services"]
    serve = services["serve"]
    assert serve["ports"][0].endswith(f":{serve['environment']['FOOTSTREAM_API_PORT']}")
    posts = services["http"]
    assert posts["ports"][0].endswith(f":{posts['environment']['FOOTSTREAM_HTTP'].rpartition(':')[2]}")
    for name, service in services.items():
        for port in service.get("ports", []):
            assert name == "mosquitto" or port.startswith("127.0.0.1:"), port
    for service in ours().values():
        port = service["environment"]["FOOTSTREAM_METRICS"].rpartition(":")[2]
        assert "healthcheck" not in service or f":{port}/health" in service["healthcheck"]["test"][-1]


@pytest.mark.parametrize("version", KUBERNETES)
def test_every_manifest_is_valid_for_kubernetes(version: str) -> None:
    for document in documents():
        kubernetes_validate.validate(document, version, strict=True)


def test_every_pod_has_settings_that_exist_and_all_that_it_needs_and_no_secret_in_the_open(tmp_path: Path) -> None:
    assert set(workloads()) == {"bridge", "http", "camera", "lane", "notify", "serve", "migrate"}
    assert not SECRETS & set(config())
    for pod in workloads().values():
        [container] = pod["containers"]
        values = {e["name"]: e.get("value", "x") for e in container["env"]}
        for entry in container["env"]:
            assert ("secretKeyRef" in entry.get("valueFrom", {})) == (entry["name"] in SECRETS | {"SLACK_URL"})
        check(container["args"][0], {**config(), **values}, tmp_path)


def test_every_pod_is_locked_down_probed_and_limited() -> None:
    port = int(config()["FOOTSTREAM_METRICS"].rpartition(":")[2])
    for name, pod in workloads().items():
        [container] = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert not container["securityContext"]["allowPrivilegeEscalation"]
        assert container["resources"]["requests"]["memory"] and container["resources"]["limits"]["memory"]
        mounts = {m["mountPath"] for m in container["volumeMounts"]}
        assert config()["FOOTSTREAM_DATA"] in mounts and "/tmp" in mounts
        if name != "migrate":
            assert {"name": "metrics", "containerPort": port} in container["ports"]
            assert container["readinessProbe"]["httpGet"]["path"] == "/health" == container["livenessProbe"]["httpGet"]["path"]


def test_each_address_that_a_pod_listens_on_is_a_port_of_it_of_its_service_and_of_a_policy() -> None:
    policies = {d["metadata"]["name"]: d["spec"].get("ingress", []) for d in documents() if d["kind"] == "NetworkPolicy"}
    for name, setting in (("http", "FOOTSTREAM_HTTP"), ("serve", "FOOTSTREAM_API_PORT")):
        [container] = workloads()[name]["containers"]
        port = int(next(e["value"] for e in container["env"] if e["name"] == setting).rpartition(":")[2])
        service = next(d for d in documents() if d["kind"] == "Service" and d["metadata"]["name"] == name)
        assert port in {p["containerPort"] for p in container["ports"]}
        assert port in {p["port"] for p in service["spec"]["ports"]}
        assert [rule["ports"] for rule in policies[f"footstream-{name}"]] == [[{"port": port}]]


def test_a_file_that_a_pod_is_told_to_read_lies_in_a_folder_that_it_has() -> None:
    for name, pod in workloads().items():
        [container] = pod["containers"]
        mounts = {m["mountPath"]: m["name"] for m in container["volumeMounts"]}
        files = [e["value"] for e in container["env"] if str(e.get("value", "")).startswith("/etc/")]
        assert all(file.rpartition("/")[0] in mounts for file in files), name
        assert set(mounts.values()) <= {v["name"] for v in pod["volumes"]} | {"data"}


def test_lanes_are_as_many_as_pods_and_every_role_has_a_disruption_budget() -> None:
    lane = next(d for d in documents() if d["metadata"]["name"] == "lane" and d["kind"] == "StatefulSet")
    args = lane["spec"]["template"]["spec"]["containers"][0]["args"]
    assert args == ["run", "all", "--lane", f"$(LANE)/{lane['spec']['replicas']}"]
    budgets = {d["metadata"]["name"] for d in documents() if d["kind"] == "PodDisruptionBudget"}
    assert budgets == set(workloads()) - {"migrate"}
    assert lane["spec"]["replicas"] <= int(config()["FOOTSTREAM_LOG_PARTITIONS"])


def test_the_image_is_small_pinned_and_of_nobody() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert len({PINNED.fullmatch(base) and base for base in re.findall(r"^FROM (\S+)", text, re.MULTILINE)} - {None}) == 1
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE) and "--require-hashes" in text
    assert set(re.findall(r"FOOTSTREAM_\w+", text)) <= SETTINGS
    assert f"EXPOSE {Settings().api_port} {text.partition('FOOTSTREAM_METRICS=0.0.0.0:')[2][:4]}" in text
    folders = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert re.findall(r"^COPY (\w+) \1$", text, re.MULTILINE) == folders


def test_what_the_image_installs_is_a_part_of_the_lock() -> None:
    def pins(name: str) -> dict[str, frozenset[str]]:
        found = re.findall(
            r"^([a-z0-9][\w.-]*==\S+)(?: ;.*?)? \\\n((?:    --hash.*\n)+)", (ROOT / name).read_text(), re.MULTILINE
        )
        return {pin: frozenset(re.findall(r"sha256:\w+", hashes)) for pin, hashes in found}

    whole, part = pins("requirements.lock"), pins("requirements-image.lock")
    assert part and set(part) < set(whole)
    assert all(whole[pin] == hashes for pin, hashes in part.items())
