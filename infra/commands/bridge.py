"""`footstream bridge [--slice i/n]`: from the MQTT broker to the log, until SIGTERM."""

import re
import signal
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from infra.errors import Problem
from infra.say import load_role
from infra.settings import Settings

if TYPE_CHECKING:
    from connectors.mqtt import Subscription
    from infra.bridge import Slice


def slice_of(text: str) -> "Slice":
    """`i/n` with i from 0 to n - 1. Raises Problem."""
    from infra.bridge import Slice

    found = re.fullmatch(r"([0-9]{1,3})/([0-9]{1,3})", text)
    number, of = (int(found[1]), int(found[2])) if found else (0, 0)
    if not number < of:
        raise Problem(f"--slice {text}: say i/n with i from 0 to n-1, for instance 0/2 and 1/2", 2)
    return Slice(number, of)


def subscription_of(settings: Settings, url: str, version: int, which: "Slice") -> "Subscription":
    """The MQTT session that the settings ask for; each slice has one of its own. Raises MqttError."""
    from connectors.mqtt import Subscription, parse_filters, parse_url

    return Subscription(
        address=parse_url(url),
        filters=parse_filters(settings.mqtt_topics),
        client_id=settings.mqtt_client + (f"-{which.number}-of-{which.of}" if which.of > 1 else ""),
        password=settings.mqtt_password,
        version=version,
        ca=settings.mqtt_ca,
        inflight=settings.mqtt_inflight,
    )


def run_bridge(settings: Settings, url: str, version: int, which: "Slice") -> None:
    """One bridge with health and metrics, until SIGTERM. Raises MqttError, LogError, RegistryError or Problem."""
    from prometheus_client import REGISTRY

    from connectors.log import RAW
    from infra.bridge import Bridge, end_process_on_thread_failure, stop_on_signals
    from infra.logs import open_settings_log
    from infra.metrics import serve_role
    from infra.registry import load_registry

    subscription = subscription_of(settings, url, version, which)
    role = f"bridge-{which.number}" if which.of > 1 else "bridge"
    registry = load_registry(settings.sites, settings.default_zone)
    log = open_settings_log(settings)
    try:
        log.ensure_topic(RAW, settings.log_partitions, settings.log_retention_days * 86_400)
        bridge = Bridge(subscription, log.writer, registry, which=which)
        end_process_on_thread_failure()
        stop_on_signals(bridge)
        REGISTRY.register(bridge)
        server = serve_role(settings, role, bridge.health)
        try:
            bridge.run()
        finally:
            server.close()
            REGISTRY.unregister(bridge)
    finally:
        log.close()


def register(app: typer.Typer) -> None:
    @app.command()
    def bridge(
        slice: Annotated[
            str, typer.Option(help="which of n bridges this one is, each takes its topics: i/n, i from 0")
        ] = "0/1",
    ) -> None:
        """Read messages from the MQTT broker and write them to the log; start a broker when no URL is given."""
        settings, which = load_role("bridge"), slice_of(slice)
        if not settings.embedded_broker():
            run_bridge(settings, settings.mqtt(), settings.mqtt_version, which)
            return
        if which.of > 1:
            raise Problem("--slice: the embedded broker has one bridge; name a broker in FOOTSTREAM_MQTT for several", 2)
        from infra.broker import EmbeddedBroker

        broker = EmbeddedBroker(settings.data)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until the bridge listens: our broker must end with us
        try:
            url = broker.start(settings.mqtt_port)
            run_bridge(settings, url, min(settings.mqtt_version, broker.version), which)
        finally:
            broker.stop()
