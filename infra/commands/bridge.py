"""`footstream bridge`: from the MQTT broker to the log, until SIGTERM."""

import signal
import sys

import typer

from connectors.log import RAW
from connectors.mqtt import Subscription, parse_filters, parse_url
from infra.logs import open_settings_log
from infra.settings import Settings, load


def subscription_of(settings: Settings, url: str, version: int) -> Subscription:
    """The MQTT session that the settings ask for. Raises MqttError."""
    return Subscription(
        address=parse_url(url),
        filters=parse_filters(settings.mqtt_topics),
        client_id=settings.mqtt_client,
        password=settings.mqtt_password,
        version=version,
        ca=settings.mqtt_ca,
        inflight=settings.mqtt_inflight,
    )


def run_bridge(settings: Settings, url: str, version: int) -> None:
    """One bridge with health and metrics, until SIGTERM. Raises MqttError, LogError, RegistryError or Problem."""
    from prometheus_client import REGISTRY

    from infra.bridge import Bridge, end_process_on_thread_failure, stop_on_signals
    from infra.metrics import port_of, serve
    from infra.registry import load_registry

    subscription = subscription_of(settings, url, version)
    registry = load_registry(settings.sites, settings.default_zone)
    log = open_settings_log(settings)
    try:
        log.ensure_topic(RAW, settings.log_partitions, settings.log_retention_days * 86_400)
        bridge = Bridge(subscription, log.writer, registry)
        end_process_on_thread_failure()
        stop_on_signals(bridge)
        REGISTRY.register(bridge)
        server = serve(port_of(settings.metrics_port, "bridge"), "bridge", bridge.health, settings.data)
        try:
            bridge.run()
        finally:
            server.close()
            REGISTRY.unregister(bridge)
    finally:
        log.close()


def register(app: typer.Typer) -> None:
    @app.command()
    def bridge() -> None:
        """Read messages from the MQTT broker and write them to the log; start a broker when no URL is given."""
        settings = load()
        if not settings.embedded_broker():
            run_bridge(settings, settings.mqtt(), settings.mqtt_version)
            return
        from infra.broker import EmbeddedBroker

        broker = EmbeddedBroker(settings.data)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until the bridge listens: our broker must end with us
        try:
            url = broker.start(settings.mqtt_port)
            run_bridge(settings, url, min(settings.mqtt_version, broker.version))
        finally:
            broker.stop()
