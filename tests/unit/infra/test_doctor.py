"""Doctor: each line is good or says what to do."""

import socket
import threading
from pathlib import Path

import pytest

from connectors.log import RAW, open_log
from infra.doctor import Finding, examine
from infra.settings import Settings
from tests.support.ports import free_port


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


@pytest.mark.parametrize("url", ["http://h:abc", "shop", ""])
def test_a_store_that_is_none_is_wrong_and_nothing_is_raised(tmp_path: Path, url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def babble() -> None:
            peer, _ = server.accept()
            peer.recv(1000)
            peer.sendall(b"no HTTP at all\r\n\r\n")
            peer.close()

        if not url:
            threading.Thread(target=babble, daemon=True).start()
        port = server.getsockname()[1]
        found = findings(data=tmp_path, store_url=url or f"http://127.0.0.1:{port}")
    assert not found["store"].good and "FOOTSTREAM_STORE" in found["store"].words


def test_a_data_folder_that_is_a_file_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    assert not findings(data=tmp_path / "data")["data folder"].good


def test_wrong_options_of_the_log_are_a_finding_and_the_rest_is_looked_at(tmp_path: Path) -> None:
    found = findings(data=tmp_path, log_url="kafka://127.0.0.1:1", log_options="nonsense")
    assert not found["log"].good and "sites" in found


def test_a_log_of_an_unknown_kind_is_wrong(tmp_path: Path) -> None:
    assert not findings(data=tmp_path, log_url="ftp://x")["log"].good


def test_a_shared_subscription_is_refused_with_the_reason(tmp_path: Path) -> None:
    for url in ("", "mqtt://127.0.0.1:1"):
        found = findings(data=tmp_path, mqtt_url=url, mqtt_topics="shops/#, $share/bridges/#")
        assert not found["MQTT topics"].good and "lose the order of a device" in found["MQTT topics"].words


def test_a_topic_with_another_number_of_partitions_than_the_settings_say_is_told(tmp_path: Path) -> None:
    log = open_log(f"sqlite:///{tmp_path / 'log'}")
    log.ensure_topic(RAW, 4)
    found = findings(data=tmp_path, log_partitions=8)
    assert found["log"].good
    assert not found["log topic"].good and "FOOTSTREAM_LOG_PARTITIONS=4" in found["log topic"].words
