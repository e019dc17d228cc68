"""Settings: what is wrong is one line that names it, never a traceback, and no secret is shown."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from infra.commands import config
from infra.settings import Settings, SettingsError, load


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_PORT", "99999"),
        ("MQTT_PORT", "-1"),
        ("METRICS_PORT", "70000"),
        ("LOG_PARTITIONS", "0"),
        ("LOG_RETENTION_DAYS", "-3"),
        ("LOG_MAX_MIB", "0"),
        ("SNAPSHOT_S", "0"),
        ("MQTT_VERSION", "6"),
        ("MQTT_INFLIGHT", "0"),
        ("DATA", ""),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_its_name(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"FOOTSTREAM_{name}|: {name}") as refused:
        load({f"FOOTSTREAM_{name}": value}, tmp_path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("line", ["mqtt_port = [1]", "mqtt_port = 5.7", "mqtt_port = true", "data = 5", "[mqtt]", "sites = []"])
def test_a_value_of_another_kind_in_the_file_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "footstream.toml").write_text(line)
    with pytest.raises(SettingsError, match=r"footstream\.toml: (mqtt_port|data|mqtt|sites) must be"):
        load({}, tmp_path)


def test_a_file_or_a_secret_that_is_no_text_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"\xff")
    with pytest.raises(SettingsError, match=r"FOOTSTREAM_MQTT_PASSWORD_FILE: .*secret is no text"):
        load({"FOOTSTREAM_MQTT_PASSWORD_FILE": str(secret)}, tmp_path)
    (tmp_path / "footstream.toml").write_bytes(b'data = "\xff"')
    with pytest.raises(SettingsError, match=r"footstream\.toml: .*mend it"):
        load({}, tmp_path)


def test_the_defaults_are_allowed_and_a_child_process_gets_what_we_have(tmp_path: Path) -> None:
    assert load({}, tmp_path) == Settings()
    own = load({"FOOTSTREAM_API_PORT": "0", "FOOTSTREAM_SITES": "", "FOOTSTREAM_DATA": "/x"}, tmp_path)
    assert load(own.environment(), tmp_path) == own


def test_config_shows_no_secret_wherever_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "MQTT": "mqtt://reader:hunter2@broker:1883",
        "STORE": "http://writer:hunter2@store:8123",
        "LOG_OPTIONS": "sasl.username=u,sasl.password=hunter2",
        "STORE_PASSWORD": "hunter2",
    }.items():
        monkeypatch.setenv(f"FOOTSTREAM_{name}", value)
    app = typer.Typer()
    config.register(app)
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 0 and "hunter2" not in result.output
    assert "mqtt://reader:…@broker:1883" in result.output
