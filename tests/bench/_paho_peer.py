"""The peer of the bench `bridge`: paho as its manual shows it, MQTT 5, manual acknowledgement, nothing but a count.

`python -m tests.bench._paho_peer PORT MESSAGES`: prints messages per second and CPU per message; 0 messages only subscribes.
"""

import json
import sys
import threading
import time
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


def main(port: int, messages: int) -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2, "peer", protocol=MQTTProtocolVersion.MQTTv5, manual_ack=True)
    done, marks = threading.Event(), list[float]()
    count = 0

    def on_message(client: paho.Client, _u: Any, message: paho.MQTTMessage) -> None:
        nonlocal count
        if not count:
            marks.extend((time.perf_counter(), time.process_time()))
        count += 1
        client.ack(message.mid, 1)
        if count == messages:
            done.set()

    client.on_connect = lambda c, *_: c.subscribe("#", 1)
    client.on_subscribe = lambda *_: None if messages else done.set()
    client.on_message = on_message
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho leaves it untyped
    properties.SessionExpiryInterval, properties.ReceiveMaximum = 3600, 1000
    client.connect("127.0.0.1", port, clean_start=False, properties=properties)
    client.loop_start()
    if not done.wait(100):
        raise TimeoutError(f"{count} of {messages} messages came")
    if messages:
        seconds, cpu = time.perf_counter() - marks[0], time.process_time() - marks[1]
        print(json.dumps({"messages_per_s": messages / seconds, "cpu_us": cpu / messages * 1e6}))
    client.disconnect()
    client.loop_stop()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
