"""Looks at everything that an installation needs: each finding is good, or says what to do. Changes nothing."""

import importlib.metadata
import os
import platform
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

from connectors.clickhouse import StoreDown
from connectors.log import RAW, TRANSITIONS, LogError
from connectors.mqtt import MqttError, parse_filters, parse_url
from connectors.store_hosts import StoreError
from infra.broker import mosquitto_program
from infra.errors import Problem
from infra.logs import open_settings_log
from infra.registry import check_registry
from infra.roles import health, port_free
from infra.settings import Settings, SettingsError
from infra.stores import open_store

ENGINE = "0.21.1"
"""The release of Bytewax whose behaviour we know."""
NEEDED_FREE = 1 << 30
ROOT_PACKAGES = ("schemas", "connectors", "operators", "flows", "infra", "dashboards")
FIRST_SANE_YEAR, LAST_SANE_YEAR = 2025, 2100


class Finding(NamedTuple):
    """One line: what was looked at, whether it is well, and what there is or what to do."""

    what: str
    good: bool
    words: str


def examine(settings: Settings) -> Iterator[Finding]:
    """Every finding, one after the other; each look takes a few seconds at most."""
    checks: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
        _python, _packages, _folders, _data, _clock, _ports, _mqtt, _log, _store, _sites,
    )  # fmt: skip
    for check in checks:
        yield from check(settings)


def _python(_: Settings) -> Iterator[Finding]:
    good = (3, 11) <= sys.version_info[:2] <= (3, 12)
    yield Finding(
        "python", good, platform.python_version() + ("" if good else ": Bytewax has wheels for 3.11 and 3.12 only; use one")
    )


def _packages(_: Settings) -> Iterator[Finding]:
    for name in ("bytewax", "chdb", "clickhouse-connect", "confluent-kafka", "paho-mqtt", "river"):
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, False, "not installed; install from requirements.lock")
            continue
        good = name != "bytewax" or version == ENGINE
        yield Finding(
            name, good, version if good else f"{version}, but {ENGINE} is what is tested; install from requirements.lock"
        )
    there = mosquitto_program()
    yield Finding(
        "mosquitto", True, there or "not on the PATH: the embedded broker is amqtt, which keeps sessions in memory only"
    )


def _folders(_: Settings) -> Iterator[Finding]:
    """Our top-level names are common words: another distribution may bring the same."""
    owners = importlib.metadata.packages_distributions()
    for name in ROOT_PACKAGES:
        others = sorted(set(owners.get(name, [])) - {"footstream"})
        if others:
            yield Finding(
                f"package {name}",
                False,
                f"also brought by {', '.join(others)}; uninstall that, or use an environment of our own",
            )


def _data(settings: Settings) -> Iterator[Finding]:
    folder = settings.data.absolute()
    there = next(
        p for p in (folder, *folder.parents) if os.access(p, os.F_OK)
    )  # not Path.exists: it raises where we may not look
    if not there.is_dir():
        yield Finding("data folder", False, f"{folder}: {there} is a file; set another FOOTSTREAM_DATA")
        return
    if not os.access(there, os.W_OK):
        yield Finding("data folder", False, f"{folder}: not writable; change its owner or set FOOTSTREAM_DATA")
        return
    free = shutil.disk_usage(there).free
    words = f"{folder}: {free / (1 << 30):.1f} GiB free"
    yield Finding("data folder", free >= NEEDED_FREE, words + ("" if free >= NEEDED_FREE else "; make room, at least 1 GiB"))


def _clock(_: Settings) -> Iterator[Finding]:
    now = time.time()
    year = time.gmtime(now).tm_year
    good = FIRST_SANE_YEAR <= year <= LAST_SANE_YEAR
    yield Finding(
        "clock", good, time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now)) + ("" if good else ": set the time, start NTP")
    )


def _ports(settings: Settings) -> Iterator[Finding]:
    wanted = [("serve", settings.api_port, "FOOTSTREAM_API_PORT")]
    if settings.embedded_store():
        wanted.append(("store", settings.store_port, "FOOTSTREAM_STORE_PORT"))
    if settings.embedded_broker():
        wanted.append(("broker", settings.mqtt_port, "FOOTSTREAM_MQTT_PORT"))
    running = health(settings.data, "up") is not None
    for role, port, setting in wanted:
        free = port_free(port)
        if running and not free:
            yield Finding(f"port {port}", True, f"in use by our {role}")
        else:
            yield Finding(
                f"port {port}", free, f"free for {role}" if free else f"in use; stop what listens there or set {setting}"
            )


def _connects(host: str, port: int) -> str:
    try:
        socket.create_connection((host, port), 3.0).close()
        return ""
    except OSError as error:
        return error.strerror or str(error)


def _mqtt(settings: Settings) -> Iterator[Finding]:
    try:
        parse_filters(settings.mqtt_topics)
    except MqttError as error:
        yield Finding("MQTT topics", False, str(error))
    if settings.embedded_broker():
        yield Finding("MQTT", True, f"embedded, on port {settings.mqtt_port}")
        return
    try:
        address = parse_url(settings.mqtt_url)
    except MqttError as error:
        yield Finding("MQTT", False, str(error))
        return
    wrong = _connects(address.host, address.port)
    yield Finding(
        "MQTT", not wrong, f"{address}" + (f": {wrong}; is it running, is FOOTSTREAM_MQTT right?" if wrong else " answers")
    )


def _log(settings: Settings) -> Iterator[Finding]:
    url = settings.log()
    if url.startswith("sqlite:") and not os.access(url.removeprefix("sqlite:///"), os.F_OK):
        yield Finding("log", True, f"{url}: not there yet, it is made on the first start")
        return
    try:
        log = open_settings_log(settings, url)
        try:
            count = log.partitions(RAW)
            differing = [
                words
                for topic in (RAW, TRANSITIONS)
                for words in log.differences(topic, settings.log_partitions, settings.log_retention_days * 86_400)
            ]
        finally:
            log.close()
        yield Finding("log", True, f"{url}: {count} partitions" if count else f"{url}: no messages yet")
        for words in differing:
            yield Finding("log topic", False, words)
    except (LogError, SettingsError) as error:
        yield Finding("log", False, str(error))


def _store(settings: Settings) -> Iterator[Finding]:
    embedded = settings.embedded_store()
    for url in settings.store().split(","):  # each host of a cluster
        store = None
        try:
            store = open_store(replace(settings, store_url="" if embedded else url, store_database="default"), patience_s=0)
            store.query("SELECT 1")
            yield Finding("store", True, f"{store.url} answers")
        except (StoreDown, StoreError, Problem) as error:
            if embedded and isinstance(error, StoreDown):
                yield Finding("store", True, f"{url}: embedded, not running; `footstream up` starts it")
            else:
                yield Finding("store", False, str(error).removeprefix("store "))
        finally:
            if store is not None:
                store.close()


def _sites(settings: Settings) -> Iterator[Finding]:
    if settings.sites is None:
        yield Finding("sites", True, "no registry (FOOTSTREAM_SITES): every device counts as a store of its own")
        return
    mistakes = check_registry(settings.sites)
    if not mistakes:
        yield Finding("sites", True, f"{settings.sites}: good")
    for mistake in mistakes:
        yield Finding("sites", False, mistake)
