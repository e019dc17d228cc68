"""The two packets of MQTT that come by the thousand, a socketful at a time: PUBLISH in, PUBACK out. All else is paho's.

paho reads each packet with four calls of the system and makes an object of 27 properties for each message of MQTT 5: measured
150 us of CPU a message, 62 without the calls; reading a PUBLISH here takes 2. A PUBLISH that is not plain (QoS 2, properties,
cut in two by the end of the buffer) is left to paho; a test holds that both read the same.
"""

import socket
import ssl
from collections.abc import Iterable
from contextlib import suppress

import msgspec

READ_BYTES = 256 * 1024
_PUBLISH, _QOS, _QOS_2, _RETAIN = 0x30, 0x06, 0x04, 0x01
_PUBACK = b"\x40\x02"


class Message(msgspec.Struct, gc=False):
    """One message as it came. Whoever holds it sets `stored` once it is durable; `mid`: packet id, 0 for QoS 0."""

    topic: bytes
    payload: bytes
    retain: bool = False
    mid: int = 0
    stored: bool = False


def publishes(data: bytes, at: int, properties: bool) -> tuple[list[Message], int]:
    """The plain PUBLISH packets that lie whole in `data` from `at` on, and where the first other thing begins.

    `properties`: packets have a list of properties (MQTT 5), which must be empty.
    """
    found: list[Message] = []
    end = len(data)
    while at + 5 < end and (first := data[at]) & 0xF0 == _PUBLISH and not first & _QOS_2:
        body, size, shift = at + 1, 0, 0
        while body < end and shift < 28:
            size |= (data[body] & 0x7F) << shift
            shift += 7
            body += 1
            if data[body - 1] < 0x80:
                break
        if data[body - 1] >= 0x80:
            break
        stop = body + size
        start = body + 2 + (data[body] << 8 | data[body + 1]) if body + 1 < end else end
        topic, mid = data[body + 2 : start], 0
        if first & _QOS:
            mid = int.from_bytes(data[start : start + 2], "big")
            start += 2
        if start + properties > stop or stop > end or not topic:
            break
        if properties:
            if data[start]:
                break
            start += 1
        found.append(Message(topic, data[start:stop], bool(first & _RETAIN), mid))
        at = stop
    return found, at


def pubacks(mids: Iterable[int]) -> bytes:
    """One PUBACK for each packet id, in order."""
    return b"".join([_PUBACK + mid.to_bytes(2, "big") for mid in mids])


class AheadSocket:
    """What paho asks of a socket, over one that is read far ahead; `publishes` takes messages out of what was read."""

    def __init__(self, sock: "socket.socket | ssl.SSLSocket") -> None:
        self._sock = sock
        self._data, self._at = b"", 0
        self.send, self.fileno, self.setblocking = sock.send, sock.fileno, sock.setblocking

    def publishes(self, properties: bool) -> list[Message]:
        """The plain messages that come next. Only between two packets of paho."""
        if not self.pending():
            with suppress(OSError):  # nothing there, or an error or end that paho's own read meets again
                self._fill()
        found, self._at = publishes(self._data, self._at, properties)
        return found

    def recv(self, most: int) -> bytes:
        if not self.pending():
            self._fill()
        piece = self._data[self._at : self._at + most]
        self._at += len(piece)
        return piece

    def pending(self) -> int:
        """Bytes read ahead: there is no need to wait for the socket."""
        return len(self._data) - self._at

    def close(self) -> None:
        self._sock.close()

    def _fill(self) -> None:
        self._data, self._at = self._sock.recv(READ_BYTES), 0
