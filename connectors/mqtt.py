"""Messages from an MQTT broker, acknowledged by hand and in order.

Delivery: at least once from QoS 1 publishers; a message that was not acknowledged comes again, after a reconnect or a restart
(persistent session), so whoever takes the messages must cope with repetition. Parallelism: one connection, one network thread.
Messages come in lists, as many as one read of the socket brought. Back pressure: the handler may block, and the broker sends no
more than Receive Maximum (MQTT 5) or its own limit (3.1.1) unacknowledged messages. Lost: what the broker drops (its queue
limits, an expired session, QoS 0).
"""

import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from connectors._mqtt_bulk import AheadSocket, pubacks
from connectors._mqtt_bulk import Message as Message

SESSION_S = 7 * 86_400
KEEPALIVE_S = 30
SHORT_S = 5.0
"""Connections lost sooner than this, three times running, look like two clients that throw each other out."""
READS = 16
"""Packets that are left to paho in one go, at most, before anything is written."""
AGAIN_S = (10.0, 300.0)
"""A broker that stays away is spoken of again after so long, then after twice as long, up to the second."""
SHARED = (
    "shared subscriptions lose the order of a device and leave half of the traffic to a member that is away; "
    "give each bridge its own topics instead"
)


class MqttError(Exception):
    """The broker or its settings are wrong in a way that trying again does not mend: says what, where and what to do."""

    footstream_problem = True


class Address(NamedTuple):
    """A broker, without any secret."""

    host: str
    port: int
    user: str
    tls: bool

    def __str__(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"


def parse_url(url: str) -> Address:
    """`mqtt://[user@]host[:port]` or `mqtts://...`. Raises MqttError; the message never repeats a password."""
    want = "FOOTSTREAM_MQTT must look like mqtt://[user@]host:port or mqtts://[user@]host:port"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise MqttError(f"{want}: {error}") from None
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
        raise MqttError(f"{want}, not {parts.scheme or '?'}://{parts.hostname or '?'}")
    if parts.password is not None:
        raise MqttError(
            "FOOTSTREAM_MQTT holds a password; move it to FOOTSTREAM_MQTT_PASSWORD or FOOTSTREAM_MQTT_PASSWORD_FILE"
        )
    if parts.path.strip("/") or parts.query:
        raise MqttError(f"{want}; topics go into FOOTSTREAM_MQTT_TOPICS")
    tls = parts.scheme == "mqtts"
    return Address(parts.hostname, port or (8883 if tls else 1883), unquote(parts.username or ""), tls)


def parse_filters(text: str) -> tuple[str, ...]:
    """Topic filters from text with commas between them. Raises MqttError for what no broker would take, and for `$share`."""
    filters = tuple(part.strip() for part in text.split(",") if part.strip())
    if not filters:
        raise MqttError("FOOTSTREAM_MQTT_TOPICS names no topic filter; `#` takes everything")
    for one in filters:
        levels = one.split("/")
        if levels[0] == "$share":
            raise MqttError(f"topic filter {one!r}: {SHARED}")
        if any("#" in level and (level != "#" or n < len(levels) - 1) for n, level in enumerate(levels)):
            raise MqttError(f"topic filter {one!r}: `#` must stand alone at the end")
        if any("+" in level and level != "+" for level in levels):
            raise MqttError(f"topic filter {one!r}: `+` must stand alone between slashes")
    return filters


@dataclass(frozen=True)
class Subscription:
    """What to subscribe to and how. `version`: 5, or 3 for 3.1.1. `inflight`: Receive Maximum (MQTT 5 only)."""

    address: Address
    filters: tuple[str, ...] = ("#",)
    client_id: str = "footstream-bridge"
    password: str = field(default="", repr=False)
    version: int = 5
    ca: str = ""
    inflight: int = 1000
    retry_s: tuple[int, int] = (1, 30)

    def __post_init__(self) -> None:
        if self.version not in (3, 5):
            raise MqttError(f"FOOTSTREAM_MQTT_VERSION is {self.version}; it must be 5, or 3 for 3.1.1")
        if not 1 <= self.inflight <= 65_535:
            raise MqttError(f"FOOTSTREAM_MQTT_INFLIGHT is {self.inflight}; it must lie between 1 and 65535")
        if not self.client_id:
            raise MqttError("FOOTSTREAM_MQTT_CLIENT is empty; without a client id no session collects while we are away")


class AckQueue:
    """Acknowledges the stored prefix only, in the order of receipt, many in one write, and never for an older connection."""

    def __init__(self, send: Callable[[list[int]], Any]) -> None:
        self._send, self._lock = send, threading.Lock()
        self._waiting: deque[Message] = deque()

    def reset(self) -> None:
        """The connection is gone: the broker will send again what was not acknowledged."""
        with self._lock:
            self._waiting.clear()

    def received(self, messages: list[Message]) -> None:
        """Remember messages; QoS 0 wants no acknowledgement."""
        with self._lock:
            self._waiting.extend([message for message in messages if message.mid])

    def flush(self) -> None:
        """Send what can be sent."""
        with self._lock:
            mids = []
            while self._waiting and self._waiting[0].stored:
                mids.append(self._waiting.popleft().mid)
            if mids:
                self._send(mids)

    def __len__(self) -> int:
        return len(self._waiting)


class _Client(paho.Client):
    """paho, with its socket read ahead (`_mqtt_bulk.py`); keeps why a connection could not be made, which paho does not say."""

    error: OSError | None = None
    on_messages: Callable[[list[Message]], None]

    def reconnect(self) -> MQTTErrorCode:
        try:
            return super().reconnect()
        except OSError as error:
            self.error = error
            raise

    def _create_socket(self) -> Any:
        return AheadSocket(super()._create_socket())  # type: ignore[arg-type]  # no websocket: we never ask for one

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """All that has come: runs of plain messages by us, every other packet by paho, in their order."""
        result = MQTTErrorCode.MQTT_ERR_SUCCESS
        for _ in range(READS):
            ahead = self._sock
            if isinstance(ahead, AheadSocket) and not self._in_packet["command"]:  # paho is between two packets
                messages = ahead.publishes(self._protocol == MQTTProtocolVersion.MQTTv5)
                if messages:
                    self.on_messages(messages)
                    if not ahead.pending():
                        break
            result = super().loop_read(max_packets)
            if result or not isinstance(self._sock, AheadSocket) or not self._sock.pending():
                break
        return result

    def ack_all(self, mids: list[int]) -> None:
        """Acknowledge many messages with one write, from any thread."""
        self._packet_queue(paho.PUBACK, pubacks(mids), mids[-1], 1)


class Subscriber:
    """One persistent session. `on_messages` runs in the network thread and may block; `acknowledge()` answers for those that
    are `stored` by then, from any thread. `say` gets one line per change of state, and again while a broker stays away.

    `failure` is set, and `on_failure` called, when trying again is of no use (credentials, certificate, filter, session taken
    over); the connection then stays closed.
    """

    def __init__(
        self,
        subscription: Subscription,
        on_messages: Callable[[list[Message]], None],
        say: Callable[[str], None] = print,
        on_failure: Callable[[], None] = lambda: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.subscription, self.on_messages, self.say, self.on_failure = subscription, on_messages, say, on_failure
        self._now = now
        self.failure: MqttError | None = None
        self.connected = False
        self.connections = 0
        self.trouble = ""  # why there is no connection, as it was said last; empty while there is one
        self._state, self._kept = "", False
        self._away_since, self._say_again, self._patience, self._tries = 0.0, 0.0, AGAIN_S[0], 0
        self._since, self._short = 0.0, 0
        self._closing = False
        self._refused = False  # by a CONNACK that said why
        self.client = self._made()
        self.acks = AckQueue(self.client.ack_all)

    def _made(self) -> _Client:
        sub = self.subscription
        v5 = sub.version == 5
        client = _Client(
            CallbackAPIVersion.VERSION2,
            sub.client_id,
            clean_session=None if v5 else False,
            protocol=MQTTProtocolVersion.MQTTv5 if v5 else MQTTProtocolVersion.MQTTv311,
            manual_ack=True,
        )
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_connect_fail, client.on_subscribe = self._on_connect_fail, self._on_subscribe
        client.on_message, client.on_messages = self._on_message, self._on_messages
        client.reconnect_delay_set(*sub.retry_s)
        if sub.address.user:
            client.username_pw_set(sub.address.user, sub.password or None)
        if sub.address.tls:
            client.tls_set_context(tls_context(sub.ca))
        return client

    def start(self) -> None:
        """Connect in the background and keep trying; returns at once."""
        v5 = self.subscription.version == 5
        properties = Properties(PacketTypes.CONNECT) if v5 else None  # type: ignore[no-untyped-call]  # paho leaves it untyped
        if properties is not None:
            properties.SessionExpiryInterval = SESSION_S
            properties.ReceiveMaximum = self.subscription.inflight
        address = self.subscription.address
        options: dict[str, Any] = {"clean_start": False} if v5 else {}
        self.client.connect_async(address.host, address.port, KEEPALIVE_S, properties=properties, **options)
        self.client.loop_start()  # not loop_forever(): acknowledgements come from other threads

    def acknowledge(self) -> None:
        """Acknowledge the messages that are `stored` by now, as far as none before them is missing, in one write."""
        self.acks.flush()

    def close(self) -> None:
        """Send what is still to be acknowledged, disconnect, keep the session (never unsubscribe: it goes on collecting)."""
        self._closing = True
        self.client.disconnect()
        self.client.loop_stop()
        self.acks.reset()

    # -- callbacks, all in the network thread

    def _say(self, state: str) -> None:
        if state != self._state:
            self._state = state
            self.say(state)

    def _away(self, what: str) -> None:
        """There is no connection: said at once when it is news, then again and again, more and more rarely."""
        now = self._now()
        if not self.trouble:
            self._away_since, self._patience, self._tries = now, AGAIN_S[0], 0
        self._tries += 1
        if what != self.trouble:
            self.say(what)
        elif now >= self._say_again:
            self.say(f"{what}; for {now - self._away_since:.0f} s now, {self._tries} tries")
            self._patience = min(self._patience * 2, AGAIN_S[1])
        else:
            return
        self.trouble = self._state = what
        self._say_again = now + self._patience

    def _fail(self, what: str) -> None:
        if self.failure is None and not self._closing:
            self.failure = MqttError(what)
            self.client.disconnect()
            self.on_failure()

    def _on_connect(self, client: paho.Client, _u: Any, flags: paho.ConnectFlags, reason: ReasonCode, _p: Any) -> None:
        self.acks.reset()
        address = self.subscription.address
        if reason.is_failure:
            self._refused = True
            remedy = self._remedy(reason)
            if remedy:
                self._fail(f"MQTT broker {address} refuses us: {reason}; {remedy}")
            else:
                self._away(f"MQTT broker {address} refuses us: {reason}; trying again with growing pauses")
            return
        self._kept = flags.session_present
        if self.subscription.version == 5:
            # Retained messages once for a new subscription, not again at every reconnect.
            options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB)
            client.subscribe([(one, options) for one in self.subscription.filters])
        else:
            client.subscribe([(one, 1) for one in self.subscription.filters])

    def _remedy(self, reason: ReasonCode) -> str:
        """What to do about a refusal that will not pass by itself; empty for one that may."""
        name = str(reason)
        if name in ("Bad user name or password", "Not authorized", "Banned", "Bad authentication method"):
            user = self.subscription.address.user
            who = (
                f"check the password of user {user!r} (FOOTSTREAM_MQTT_PASSWORD)" if user else "name a user in FOOTSTREAM_MQTT"
            )
            return f"{who} and its rights"
        if name == "Unsupported protocol version":
            return "set FOOTSTREAM_MQTT_VERSION=3 for MQTT 3.1.1"
        if name == "Client identifier not valid":
            return f"choose another FOOTSTREAM_MQTT_CLIENT than {self.subscription.client_id!r}"
        return ""

    def _on_connect_fail(self, client: paho.Client, _u: Any) -> None:
        error = client.error if isinstance(client, _Client) else None
        address = self.subscription.address
        if isinstance(error, ssl.SSLCertVerificationError):
            self._fail(
                f"MQTT broker {address}: its certificate is not trusted ({error.verify_message}); "
                f"name the file of its CA in FOOTSTREAM_MQTT_CA"
            )
            return
        why = (error.strerror or str(error)) if error else "no answer"
        self._away(
            f"cannot reach MQTT broker {address}: {why}; trying again with growing pauses; "
            f"is it running, is FOOTSTREAM_MQTT right? Nothing is taken until then"
        )

    def _on_disconnect(self, _c: paho.Client, _u: Any, _f: Any, reason: ReasonCode, _p: Any) -> None:
        self.acks.reset()
        was, self.connected = self.connected, False
        refused, self._refused = self._refused, False
        if str(reason) == "Session taken over":
            self._fail(
                f"MQTT broker {self.subscription.address}: another client uses the id {self.subscription.client_id!r}; "
                f"stop it or give this one its own FOOTSTREAM_MQTT_CLIENT"
            )
        elif was and not self._closing and self.failure is None:
            self._short = self._short + 1 if self._now() - self._since < SHORT_S else 0
            hint = f"; does another client use the id {self.subscription.client_id!r}?" if self._short >= 3 else ""
            self._say(f"lost the connection to MQTT broker {self.subscription.address}: {reason}; connecting again{hint}")
        elif not refused and not self._closing and self.failure is None:
            self._away(
                f"MQTT broker {self.subscription.address} ends the connection before it takes us: {reason}; "
                f"trying again with growing pauses; is it an MQTT broker, does it want mqtts:// or FOOTSTREAM_MQTT_VERSION=3?"
            )

    def _on_subscribe(self, _c: paho.Client, _u: Any, _m: int, reasons: list[ReasonCode], _p: Any) -> None:
        refused = [f for f, reason in zip(self.subscription.filters, reasons, strict=False) if reason.is_failure]
        if refused:
            self._fail(
                f"MQTT broker {self.subscription.address} refuses the topic filter {', '.join(refused)}; "
                f"give the user the right to read it or change FOOTSTREAM_MQTT_TOPICS"
            )
            return
        self.connected, self.trouble = True, ""
        self._since = self._now()
        self.connections += 1
        address = self.subscription.address
        self._say(f"connected to MQTT broker {address}, {'session kept' if self._kept else 'new session'}")
        if self.connections > 1 and not self._kept:
            self.say(f"MQTT broker {address} has forgotten our session: what was published while we were away may be missing")

    def _on_messages(self, messages: list[Message]) -> None:
        if not self._closing:  # else: not taken, not acknowledged, they come again
            self.acks.received(messages)
            self.on_messages(messages)

    def _on_message(self, _c: paho.Client, _u: Any, message: paho.MQTTMessage) -> None:
        """A message that paho read: one that is not plain."""
        mid = message.mid if message.qos else 0
        self._on_messages([Message(message._topic, bytes(message.payload), message.retain, mid)])


def tls_context(ca: str) -> ssl.SSLContext:
    """Trust in the certificates of a file, or in the system's when there is none. Raises MqttError."""
    try:
        return ssl.create_default_context(cafile=ca or None)
    except (OSError, ssl.SSLError) as error:
        raise MqttError(f"FOOTSTREAM_MQTT_CA={ca}: {error}; name a file with CA certificates in PEM") from None
