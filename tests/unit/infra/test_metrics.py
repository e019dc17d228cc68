import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter

from infra.errors import Problem
from infra.metrics import port_of, serve


def _get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_the_chosen_port_stands_in_the_run_folder_and_goes_with_the_server(tmp_path: Path) -> None:
    server = serve(0, "bridge", lambda: {"ok": True}, tmp_path)
    said = json.loads((tmp_path / "run" / "bridge.json").read_text())
    assert said["port"] == server.port > 0 and said["role"] == "bridge"
    server.close()
    assert not (tmp_path / "run" / "bridge.json").exists()


def test_health_is_200_while_well_503_when_not_and_503_when_the_role_raises(tmp_path: Path) -> None:
    words: list[dict[str, object]] = [{"lag": 3}, {"ok": False, "why": "log full"}]

    def health() -> dict[str, object]:
        return words.pop(0)

    server = serve(0, "store", health, tmp_path)
    url = f"http://127.0.0.1:{server.port}/health"
    assert _get(url) == (200, b'{"lag": 3, "ok": true}\n')
    assert _get(url) == (503, b'{"ok": false, "why": "log full"}\n')
    status, body = _get(url)
    assert status == 503 and b"IndexError" in body
    assert _get(f"http://127.0.0.1:{server.port}/other")[0] == 404
    server.close()


def test_metrics_are_those_of_the_given_registry(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    Counter("footstream_test_things", "things", registry=registry).inc(7)
    server = serve(0, "notify", dict, tmp_path, registry)
    status, body = _get(f"http://127.0.0.1:{server.port}/metrics")
    server.close()
    assert status == 200 and b"footstream_test_things_total 7.0" in body and b"python_gc" not in body


def test_a_port_in_use_is_one_line_that_names_port_and_setting(tmp_path: Path) -> None:
    server = serve(0, "bridge", dict, tmp_path)
    with pytest.raises(Problem, match=rf"port {server.port} .*FOOTSTREAM_METRICS_PORT"):
        serve(server.port, "notify", dict, tmp_path)
    server.close()


def test_a_folder_that_cannot_be_written_is_one_line_and_the_port_is_free_again(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where a folder should be")
    with pytest.raises(Problem, match=r"bridge: cannot write .*bridge\.json: .*FOOTSTREAM_DATA"):
        serve(0, "bridge", lambda: {"ok": True}, tmp_path)


def test_every_role_has_its_own_port_behind_the_first_one() -> None:
    ports = [port_of(9000, role) for role in ("bridge", "notify", "serve", "store", "up", "run-0", "run-1")]
    assert ports == [9000, 9001, 9002, 9003, 9004, 9010, 9011]
    assert port_of(0, "bridge") == 0
