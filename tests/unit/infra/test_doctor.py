"""Doctor: each line is good or says what to do."""

import socket
from pathlib import Path

from infra.doctor import Finding, examine
from infra.roles import free_port
from infra.settings import Settings


def findings(**settings: object) -> dict[str, Finding]:
    made = Settings(**settings)  # type: ignore[arg-type]  # any of the settings
    return {finding.what: finding for finding in examine(made)}


def test_a_fresh_machine_is_well(tmp_path: Path) -> None:
    found = findings(data=tmp_path, api_port=free_port(), store_port=free_port(), mqtt_port=free_port())
    assert [f for f in found.values() if not f.good] == []
    assert {"python", "bytewax", "data folder", "clock", "MQTT", "log", "store", "sites"} <= found.keys()


def test_a_port_in_use_names_the_setting(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = findings(data=tmp_path, api_port=port)
    assert not found[f"port {port}"].good
    assert "FOOTSTREAM_API_PORT" in found[f"port {port}"].words


def test_a_broker_and_a_store_that_do_not_answer_are_wrong(tmp_path: Path) -> None:
    found = findings(data=tmp_path, mqtt_url="mqtt://127.0.0.1:1", store_url="http://127.0.0.1:1")
    assert not found["MQTT"].good
    assert "Connection refused" in found["MQTT"].words
    assert not found["store"].good
    assert "FOOTSTREAM_STORE" in found["store"].words


def test_a_wrong_registry_is_told_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "berlin.toml").write_text('id = "berlin"\nzone = "Europe/Atlantis"\n')
    found = findings(data=tmp_path, sites=tmp_path / "berlin.toml")
    assert not found["sites"].good
    assert "berlin.toml" in found["sites"].words


def test_a_log_of_an_unknown_kind_is_wrong(tmp_path: Path) -> None:
    assert not findings(data=tmp_path, log_url="ftp://x")["log"].good
