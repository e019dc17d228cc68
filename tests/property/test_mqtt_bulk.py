"""The bulk reader of MQTT packets beside paho's own: the same bytes in any cut give the same messages in the same order."""

import random
import socket
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from connectors._mqtt_bulk import Message, pubacks, publishes
from connectors.mqtt import _Client

SEED = 20_260_302
Read = tuple[bytes, bytes, bool, int]


def _length(size: int) -> bytes:
    digits = bytearray()
    while True:
        size, digit = divmod(size, 128)
        digits.append(digit | (0x80 if size else 0))
        if not size:
            return bytes(digits)


def _packet(rng: random.Random, number: int, v5: bool) -> bytes:
    """A PUBLISH of any kind, now and then another packet that a broker sends."""
    if rng.random() < 0.05:
        return b"\xd0\x00"  # PINGRESP
    qos = rng.choices((0, 1, 2), (3, 10, 1))[0]
    topic = rng.choice(("a", "shop/door", "lädén/1", "t" * 300)).encode()
    properties = b""
    if v5:
        given = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho leaves it untyped
        if rng.random() < 0.2:
            given.MessageExpiryInterval = 60
        if rng.random() < 0.1:
            given.UserProperty = ("k", "v")
        properties = given.pack()  # type: ignore[no-untyped-call]  # paho leaves it untyped
    payload = rng.randbytes(rng.choice((0, 1, 5, 100, 130, 600, 17_000)))
    body = len(topic).to_bytes(2, "big") + topic + (number.to_bytes(2, "big") if qos else b"") + properties + payload
    return bytes([0x30 | qos << 1 | rng.choice((0, 1)) | (8 if qos and rng.random() < 0.1 else 0)]) + _length(len(body)) + body


def _played(kind: type[paho.Client], v5: bool, chunks: list[bytes]) -> list[Read]:
    """What a client of that kind hands out when the broker sends these chunks one after the other."""
    ours, theirs = socket.socketpair()
    found: list[Read] = []

    class Wired(kind):  # type: ignore[misc, valid-type]  # the base is an argument
        def _create_socket_connection(self) -> Any:
            return ours

    version = MQTTProtocolVersion.MQTTv5 if v5 else MQTTProtocolVersion.MQTTv311
    client = Wired(CallbackAPIVersion.VERSION2, "c", protocol=version, manual_ack=True)
    client.on_message = lambda _c, _u, m: found.append((m._topic, bytes(m.payload), bool(m.retain), m.mid))
    if isinstance(client, _Client):
        client.on_messages = lambda messages: found.extend((m.topic, m.payload, m.retain, m.mid) for m in messages)
    client.connect("127.0.0.1")
    for chunk in chunks:
        theirs.sendall(chunk)
        for _ in range(200):  # plain paho reads one packet a time
            assert client.loop_read() == 0
    client._sock_close()
    theirs.close()
    return found


@pytest.mark.parametrize("v5", [True, False])
@pytest.mark.parametrize("turn", range(12))
def test_the_same_bytes_give_the_same_messages_as_paho(v5: bool, turn: int) -> None:
    rng = random.Random(f"{SEED} {turn}")
    data = b"".join(_packet(rng, number, v5) for number in range(1, rng.choice((2, 30, 100))))
    chunks = []
    while data:
        size = rng.choice((1, 2, 3, 700, 20_000, 60_000)) if rng.random() < 0.9 else len(data)
        chunks.append(data[: min(size, 60_000)])
        data = data[len(chunks[-1]) :]
        if len(chunks) > 300:
            chunks += [data[at : at + 60_000] for at in range(0, len(data), 60_000)]
            break
    expected = _played(paho.Client, v5, chunks)
    assert _played(_Client, v5, chunks) == expected, f"seed {SEED}, turn {turn}"


def test_most_packets_are_read_in_bulk_and_what_is_not_plain_is_left() -> None:
    plain = b"\x32\x08\x00\x01t\x00\x07\x00hi"
    expected = Message(b"t", b"hi", False, 7)
    assert publishes(plain * 3, 0, True) == ([expected] * 3, 30)
    assert publishes(plain[:9] + b"", 0, True) == ([], 0), "cut in two"
    assert publishes(plain + b"\x34" + plain[1:], 0, True) == ([expected], 10), "QoS 2"
    assert publishes(b"\x32\x0a\x00\x01t\x00\x07\x02\x01\x00hi", 0, True) == ([], 0), "a property"
    assert publishes(b"\x32\xff\xff\xff\xff\x01" + plain, 0, True) == ([], 0), "a length of five bytes"


@pytest.mark.parametrize("turn", range(200))
def test_broken_bytes_never_raise_and_never_leave_the_buffer(turn: int) -> None:
    rng = random.Random(f"{SEED} {turn}")
    data = bytearray(b"".join(_packet(rng, number, True) for number in range(1, 12))[:3000])
    for _ in range(rng.randrange(1, 30)):
        data[rng.randrange(len(data))] = rng.choice((0, 0x30, 0x32, 0x7F, 0x80, 0xFF))
    for cut in range(0, len(data), 7):
        found, at = publishes(bytes(data[:cut]), 0, True)
        assert 0 <= at <= cut and sum(len(m.payload) + len(m.topic) for m in found) <= at, f"seed {SEED}, turn {turn}"


def test_acknowledgements_are_those_that_paho_writes() -> None:
    sent: list[bytes] = []
    client = paho.Client(CallbackAPIVersion.VERSION2, manual_ack=True)
    client._packet_queue = lambda _c, packet, *_: sent.append(bytes(packet)) or paho.MQTT_ERR_SUCCESS  # type: ignore[method-assign, func-returns-value]  # seen, not sent
    for mid in (1, 255, 256, 65_535):
        client.ack(mid, 1)
    assert pubacks((1, 255, 256, 65_535)) == b"".join(sent)
