"""Publishes over MQTT (3.1.1) at QoS 1: for the simulator and for replays.

Delivery: `settle` returns once the broker has acknowledged; what it counts as missing may or may not have arrived. One thread
of paho's own. Back pressure: none, everything that waits is held in memory.
"""

import os
import threading
import time
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from connectors.mqtt import Address, MqttError, tls_context

CONNECT_S = 15.0


class MqttPublisher:
    """A connected client. Raises MqttError when the broker does not answer or refuses. `ca`: file that is trusted for TLS."""

    def __init__(self, address: Address, password: str = "", name: str = "footstream-publisher", ca: str = "") -> None:
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, f"{name}-{os.getpid()}-{time.monotonic_ns()}")
        self._client.max_queued_messages_set(0)
        self._client.max_inflight_messages_set(500)
        if address.user:
            self._client.username_pw_set(address.user, password)
        if address.tls:
            self._client.tls_set_context(tls_context(ca))
        self._waiting: list[mqtt.MQTTMessageInfo] = []
        answered, said = threading.Event(), list[ReasonCode]()

        def connected(_c: mqtt.Client, _u: Any, _f: mqtt.ConnectFlags, code: ReasonCode, _p: Properties | None) -> None:
            said.append(code)
            answered.set()

        self._client.on_connect = connected
        try:
            self._client.connect(address.host, address.port)
        except OSError as error:
            raise MqttError(f"MQTT broker {address}: {error.strerror or error}; is it running, is the port right?") from None
        self._client.loop_start()
        if not answered.wait(CONNECT_S) or said[0].is_failure:
            why = said[0] if said else f"no answer in {CONNECT_S:g} s"
            self.close()
            raise MqttError(f"MQTT broker {address}: {why}; check user and password")

    def send(self, topic: str, payload: bytes) -> None:
        """Hand over one message. Raises MqttError for a topic or a payload that MQTT cannot carry."""
        if len(self._waiting) > 5000:
            self._waiting = [info for info in self._waiting if not info.is_published()]
        try:
            info = self._client.publish(topic, payload, qos=1)
        except ValueError as error:
            raise MqttError(f"MQTT topic {topic!r}: {error} Publish it on another topic") from None
        # Without a connection paho keeps the message and sends it after the next one; its own questions would raise until then.
        info.rc = MQTTErrorCode.MQTT_ERR_SUCCESS
        self._waiting.append(info)

    def settle(self, seconds: float) -> int:
        """Wait for every acknowledgement; how many are missing after that time."""
        end = time.monotonic() + seconds
        for info in self._waiting:
            info.wait_for_publish(max(0.0, end - time.monotonic()))
        self._waiting = [info for info in self._waiting if not info.is_published()]
        return len(self._waiting)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
