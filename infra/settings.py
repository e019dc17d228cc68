"""Settings: defaults, then `footstream.toml`, then environment, then options; the later one wins.

Every name here is public: `store_url` is `FOOTSTREAM_STORE` in the environment and `store` in the file. A secret may also be
given as `FOOTSTREAM_…_FILE`, the path of a file that holds it. Nothing here does I/O beyond reading those files.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any


class SettingsError(Exception):
    """A setting is wrong: the message says which, its value and what to do."""


def _setting(default: Any, env: str, help: str, secret: bool = False, least: int = 0, most: int = 1 << 53) -> Any:
    return field(default=default, metadata={"env": env, "help": help, "secret": secret, "least": least, "most": most})


_LAST_PORT = 65_535
LOG_FORMATS = ("text", "json")
_URL_PASSWORD = re.compile(r"(?<=://)([^/@:]*):[^/@]*@")


def without_password(text: str) -> str:
    """A URL as it may be shown."""
    return _URL_PASSWORD.sub(r"\1:…@", text)


@dataclass(frozen=True)
class Settings:
    """All settings of one installation. Empty URLs mean: the embedded part under `data`."""

    data: Path = _setting(Path("data"), "DATA", "folder for everything that the embedded parts keep")
    sites: Path | None = _setting(None, "SITES", "site registry: a TOML file or a folder of them")
    mqtt_url: str = _setting("", "MQTT", "mqtt://[user@]host:port or mqtts://...; empty: a broker is started on loopback")
    mqtt_password: str = _setting("", "MQTT_PASSWORD", "password of the MQTT user", secret=True)
    mqtt_topics: str = _setting("#", "MQTT_TOPICS", "topic filters, separated by commas")
    mqtt_client: str = _setting("footstream-bridge", "MQTT_CLIENT", "client id: the session that collects while we are away")
    mqtt_version: int = _setting(5, "MQTT_VERSION", "5, or 3 for 3.1.1", least=3, most=5)
    mqtt_ca: str = _setting("", "MQTT_CA", "file with the CA certificates for mqtts://")
    mqtt_inflight: int = _setting(
        1000, "MQTT_INFLIGHT", "Receive Maximum: unacknowledged messages at most", least=1, most=65_535
    )
    mqtt_port: int = _setting(18830, "MQTT_PORT", "port of the embedded broker on loopback", most=_LAST_PORT)
    http: str = _setting(
        "", "HTTP", "address:port where devices POST; empty: `up` runs no such role; another than loopback needs tokens"
    )
    http_max_kib: int = _setting(1024, "HTTP_MAX_KIB", "largest body of a POST, KiB", least=1, most=65_536)
    http_cert: str = _setting("", "HTTP_CERT", "file with the certificate of that address, for TLS")
    http_key: str = _setting("", "HTTP_KEY", "file with its key, when that is not in the same file")
    cameras: Path | None = _setting(None, "CAMERAS", "TOML file with the logins of network cameras; `up` polls cameras with it")
    camera_every_s: int = _setting(
        300, "CAMERA_EVERY_S", "how often a camera is asked for what may have grown, seconds", least=10, most=86_400
    )
    log_url: str = _setting("", "LOG", "sqlite:///folder or kafka://host:port[,host:port]")
    log_options: str = _setting("", "LOG_OPTIONS", "further librdkafka settings, name=value separated by commas", secret=True)
    log_security: str = _setting("", "LOG_SECURITY", "Kafka: plaintext, ssl, sasl_plaintext or sasl_ssl; empty: plaintext")
    log_sasl: str = _setting("", "LOG_SASL", "Kafka: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER")
    log_user: str = _setting("", "LOG_USER", "Kafka: user, for OAUTHBEARER the client id")
    log_password: str = _setting(
        "", "LOG_PASSWORD", "Kafka: password of the user, for OAUTHBEARER the client's secret", secret=True
    )
    log_token_url: str = _setting("", "LOG_TOKEN_URL", "Kafka: where OAUTHBEARER gets its tokens (OIDC)")
    log_scope: str = _setting("", "LOG_SCOPE", "Kafka: scope of those tokens")
    log_ca: str = _setting("", "LOG_CA", "Kafka: file with the CA certificates for TLS; empty: those of the system")
    log_certificate: str = _setting("", "LOG_CERTIFICATE", "Kafka: file with our own certificate, where brokers want one")
    log_key: str = _setting("", "LOG_KEY", "Kafka: file with the key of that certificate")
    log_key_password: str = _setting("", "LOG_KEY_PASSWORD", "Kafka: password of that key", secret=True)
    log_partitions: int = _setting(8, "LOG_PARTITIONS", "partitions of a topic that is created", least=1, most=10_000)
    log_retention_days: int = _setting(
        7, "LOG_RETENTION_DAYS", "how long a created topic keeps its records", least=1, most=36_500
    )
    log_retention_bytes: int = _setting(
        0, "LOG_RETENTION_BYTES", "Kafka: bytes at which a partition of a created topic drops its oldest records; 0: no limit"
    )
    log_replication: int = _setting(
        0, "LOG_REPLICATION", "Kafka: replicas of a created topic; 0: 3, or as many as there are brokers", most=1000
    )
    log_min_insync: int = _setting(
        0, "LOG_MIN_INSYNC", "Kafka: replicas that must have a record before it counts; 0: 2 of 3, else 1", most=1000
    )
    log_max_mib: int = _setting(
        8192, "LOG_MAX_MIB", "size of the embedded log at which the oldest records go", least=1, most=1 << 40
    )
    topic_prefix: str = _setting("footstream.", "TOPIC_PREFIX", "put before every topic name")
    store_url: str = _setting(
        "",
        "STORE",
        "http://host:8123 or https://host:8443 of ClickHouse, several separated by commas; empty: the embedded store",
    )
    store_port: int = _setting(18123, "STORE_PORT", "port of the embedded store on loopback", most=_LAST_PORT)
    store_host: str = _setting(
        "127.0.0.1", "STORE_HOST", "address of the embedded store; another than loopback needs passwords"
    )
    store_database: str = _setting("footstream", "STORE_DATABASE", "database of all tables")
    store_user: str = _setting("footstream", "STORE_USER", "user that writes")
    store_password: str = _setting(
        "", "STORE_PASSWORD", "password of the writer; embedded: made and kept under data", secret=True
    )
    store_quorum: int = _setting(
        0, "STORE_QUORUM", "replicas of a cluster that have the rows before an insert is answered; 0: one", most=100
    )
    store_cluster: str = _setting(
        "", "STORE_CLUSTER", "cluster of the server's remote_servers over which migrate lays the tables; empty: one server"
    )
    store_compression: str = _setting(
        "auto", "STORE_COMPRESSION", "of rows and answers: lz4, zstd or off; auto: off on loopback, else lz4"
    )
    store_ca: str = _setting("", "STORE_CA", "file with the CA certificates for https")
    store_cert: str = _setting("", "STORE_CERT", "file with the client certificate for https")
    store_cert_key: str = _setting("", "STORE_CERT_KEY", "file with its key, when that is not in the same file")
    reader_user: str = _setting("analyst", "READER_USER", "read-only user with row and time caps")
    reader_password: str = _setting("analyst", "READER_PASSWORD", "password of the read-only user", secret=True)
    reader_max_rows: int = _setting(1_000_000, "READER_MAX_ROWS", "rows that one query of the read-only user may return")
    reader_max_s: int = _setting(30, "READER_MAX_S", "seconds that one query of the read-only user may take")
    keep_days: str = _setting(
        "", "KEEP_DAYS", "days to keep, such as observations=396,line_minutes=1826,open=35; 0: for ever; all=0: everything"
    )
    default_zone: str = _setting("UTC", "DEFAULT_ZONE", "IANA zone of devices that nobody assigned")
    flows: str = _setting("all", "FLOWS", "flows that `up` runs, separated by commas, or all")
    snapshot_s: int = _setting(30, "SNAPSHOT_S", "seconds between recovery snapshots", least=1, most=86_400)
    flush_ms: int = _setting(
        500, "FLUSH_MS", "how often changed rows of open minutes are written, milliseconds", most=86_400_000
    )
    alert_horizon_s: int = _setting(600, "ALERT_HORIZON_S", "data older than this never alert, seconds", most=1 << 40)
    receivers: Path | None = _setting(None, "RECEIVERS", "TOML file with the alert receivers")
    api_host: str = _setting("127.0.0.1", "API_HOST", "address of the board and API; another than loopback needs tokens")
    api_port: int = _setting(8080, "API_PORT", "port of the board and API", most=_LAST_PORT)
    api_tokens: Path | None = _setting(None, "API_TOKENS", "TOML file with hashed API tokens")
    metrics_port: int = _setting(
        0, "METRICS_PORT", "first port for /health and /metrics of the roles; 0: free ports", most=65_000
    )
    metrics: str = _setting(
        "",
        "METRICS",
        "address:port of /health and /metrics of a role that is alone there, as in a container; wins over the port",
    )
    log_format: str = _setting("text", "LOG_FORMAT", "how roles write their events: text, or json for one object per line")

    def log(self) -> str:
        """URL of the log: the embedded one when none is set."""
        return self.log_url or f"sqlite:///{self.data.absolute() / 'log'}"

    def store(self) -> str:
        """URL of the store: the embedded one when none is set."""
        return self.store_url or f"http://127.0.0.1:{self.store_port}"

    def mqtt(self) -> str:
        """URL of the MQTT broker: the embedded one when none is set."""
        return self.mqtt_url or f"mqtt://127.0.0.1:{self.mqtt_port}"

    def embedded_store(self) -> bool:
        return not self.store_url

    def embedded_broker(self) -> bool:
        return not self.mqtt_url

    def metrics_place(self) -> tuple[str, int] | None:
        """Address and port of `metrics`; None when it is not set. Raises SettingsError."""
        return _place("METRICS", self.metrics, "0.0.0.0:9100")

    def http_place(self) -> tuple[str, int] | None:
        """Address and port of `http`; None when it is not set. Raises SettingsError."""
        return _place("HTTP", self.http, "0.0.0.0:8090")

    def environment(self) -> dict[str, str]:
        """These settings as the environment of a child process."""
        given = {f"FOOTSTREAM_{f.metadata['env']}": getattr(self, f.name) for f in fields(self)}
        return {name: str(value) for name, value in given.items() if value not in (None, "")}


def _place(name: str, value: str, example: str) -> tuple[str, int] | None:
    """Address and port of such a setting; None when it is empty. Raises SettingsError."""
    if not value:
        return None
    host, colon, port = value.rpartition(":")
    if not (colon and host and port.isdecimal() and 0 < int(port) <= _LAST_PORT):
        raise SettingsError(f"FOOTSTREAM_{name} is {value!r}; it must be address:port, such as {example}")
    return host.strip("[]"), int(port)


_BY_ENV = {f.metadata["env"]: f for f in fields(Settings)}


def _typed(name: str, kind: Any, value: Any, origin: str) -> Any:
    if kind is int:
        try:
            return int(value if isinstance(value, str) else _whole(value))
        except ValueError:
            raise SettingsError(f"{origin}: {name} must be a whole number, not {value!r}") from None
    is_path = kind in (Path, Path | None)
    if not isinstance(value, str) and (is_path or isinstance(value, bool) or not isinstance(value, int | float)):
        raise SettingsError(f"{origin}: {name} must be a text in quotes, not {type(value).__name__}")
    if kind is Path and not value:
        raise SettingsError(f"{origin}: {name} is empty; name a path, or leave it out for the default")
    text = str(value)
    return (Path(text) if text else None) if is_path else text


def _whole(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError


def _file_values(path: Path) -> dict[str, Any]:
    try:
        raw = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"settings file {path}: {error}; mend it or remove it") from None
    values = {}
    for key, value in raw.items():
        known = _BY_ENV.get(key.upper())
        if known is None:
            raise SettingsError(f"settings file {path}: unknown setting {key!r}; `footstream config` lists them all")
        values[known.name] = _typed(key, known.type, value, str(path))
    return values


def _environment_values(environment: Mapping[str, str]) -> dict[str, Any]:
    values = {}
    for key, value in environment.items():
        if not key.startswith("FOOTSTREAM_"):
            continue
        name = key.removeprefix("FOOTSTREAM_")
        if name.endswith("_FILE") and name.removesuffix("_FILE") in _BY_ENV:
            name = name.removesuffix("_FILE")
            try:
                path = value
                value = Path(path).read_text().strip()
            except OSError as error:
                raise SettingsError(f"{key}: cannot read the secret: {error.strerror}; check path and rights") from None
            except UnicodeDecodeError:
                raise SettingsError(f"{key}: {path} is no text; put the value there in UTF-8, and nothing else") from None
        known = _BY_ENV.get(name)
        if known is None:
            raise SettingsError(f"environment: unknown setting {key}; `footstream config` lists them all")
        values[known.name] = _typed(key, known.type, value, "environment")
    return values


def load(environment: Mapping[str, str] | None = None, folder: Path | None = None, **options: Any) -> Settings:
    """The settings in force. `options` that are None are not given. Raises SettingsError."""
    environment = os.environ if environment is None else environment
    path = (folder or Path.cwd()) / "footstream.toml"
    values = _file_values(path) if path.exists() else {}
    values |= _environment_values(environment)
    values |= {name: value for name, value in options.items() if value is not None}
    settings = replace(Settings(), **values)
    _check(settings)
    return settings


def _check(settings: Settings) -> None:
    for f in fields(settings):
        value, least, most = getattr(settings, f.name), f.metadata["least"], f.metadata["most"]
        if f.type is int and not least <= value <= most:
            raise SettingsError(f"FOOTSTREAM_{f.metadata['env']} is {value}; it must lie between {least} and {most}")
    if settings.log_format not in LOG_FORMATS:
        raise SettingsError(f"FOOTSTREAM_LOG_FORMAT is {settings.log_format!r}; it must be {' or '.join(LOG_FORMATS)}")
    settings.metrics_place()
    settings.http_place()
    if 0 < settings.log_replication < settings.log_min_insync:
        raise SettingsError(
            f"FOOTSTREAM_LOG_MIN_INSYNC is {settings.log_min_insync}, with {settings.log_replication} replicas"
            " (FOOTSTREAM_LOG_REPLICATION): nothing could ever be written; lower it"
        )
