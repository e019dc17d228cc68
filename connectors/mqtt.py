"""Messages from an MQTT broker, acknowledged by hand and in order.

Delivery: at least once from QoS 1 publishers; a message that was not acknowledged comes again, after a reconnect or a restart
(persistent session), so whoever takes the messages must cope with repetition. Parallelism: one connection, one network thread.
Back pressure: the handler may block, and the broker sends no more than Receive Maximum (MQTT 5) or its own limit (3.1.1)
unacknowledged messages. Lost: what the broker drops (its queue limits, an expired session, QoS 0).
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

SESSION_S = 7 * 86_400
KEEPALIVE_S = 30
SHORT_S = 5.0
"""Connections lost sooner than this, three times running, look like two clients that throw each other out."""
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
    """Sends acknowledgements for the finished prefix only, in the order of receipt, and never for an older connection."""

    def __init__(self, ack: Callable[[int, int], Any]) -> None:
        self._ack, self._lock = ack, threading.Lock()
        self._waiting: deque[list[Any]] = deque()

    def reset(self) -> None:
        """The connection is gone: the broker will send again what was not acknowledged."""
        with self._lock:
            self._waiting.clear()

    def received(self, mid: int) -> list[Any]:
        """Remember a message; the result goes to `stored` once it is durable."""
        entry = [mid, False]
        with self._lock:
            self._waiting.append(entry)
        return entry

    def stored(self, entry: list[Any]) -> None:
        with self._lock:
            entry[1] = True
            while self._waiting and self._waiting[0][1]:
                self._ack(self._waiting.popleft()[0], 1)

    def __len__(self) -> int:
        return len(self._waiting)


class Message(NamedTuple):
    """One message as it came. `done()` acknowledges it (in order): call it once the message is durable, from any thread."""

    topic: str
    payload: bytes
    retain: bool
    done: Callable[[], None]


class _Client(paho.Client):
    """Keeps why a connection could not be made; paho's callback does not say."""

    error: OSError | None = None

    def reconnect(self) -> MQTTErrorCode:
        try:
            return super().reconnect()
        except OSError as error:
            self.error = error
            raise


class Subscriber:
    """One persistent session. `on_message` runs in the network thread and may block; `say` gets one line per change of state.

    `failure` is set, and `on_failure` called, when trying again is of no use (credentials, certificate, filter, session taken
    over); the connection then stays closed.
    """

    def __init__(
        self,
        subscription: Subscription,
        on_message: Callable[[Message], None],
        say: Callable[[str], None] = print,
        on_failure: Callable[[], None] = lambda: None,
        manual_ack: bool = True,
    ) -> None:
        self.subscription, self.on_message, self.say, self.on_failure = subscription, on_message, say, on_failure
        self.failure: MqttError | None = None
        self.connected = False
        self.connections = 0
        self._state, self._kept = "", False
        self._since, self._short = 0.0, 0
        self._closing = False
        self._refused = False  # by a CONNACK that said why
        self.client = self._made(manual_ack)
        self.acks = AckQueue(self.client.ack)

    def _made(self, manual_ack: bool) -> _Client:
        sub = self.subscription
        v5 = sub.version == 5
        client = _Client(
            CallbackAPIVersion.VERSION2,
            sub.client_id,
            clean_session=None if v5 else False,
            protocol=MQTTProtocolVersion.MQTTv5 if v5 else MQTTProtocolVersion.MQTTv311,
            manual_ack=manual_ack,
        )
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_connect_fail, client.on_subscribe, client.on_message = (
            self._on_connect_fail,
            self._on_subscribe,
            self._on_message,
        )
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
                self._say(f"MQTT broker {address} refuses us: {reason}; trying again with growing pauses")
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
        self._say(
            f"cannot reach MQTT broker {address}: {why}; trying again with growing pauses; "
            f"is it running, is FOOTSTREAM_MQTT right?"
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
            self._short = self._short + 1 if time.monotonic() - self._since < SHORT_S else 0
            hint = f"; does another client use the id {self.subscription.client_id!r}?" if self._short >= 3 else ""
            self._say(f"lost the connection to MQTT broker {self.subscription.address}: {reason}; connecting again{hint}")
        elif not refused and not self._closing and self.failure is None:
            self._say(
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
        self.connected = True
        self._since = time.monotonic()
        self.connections += 1
        address = self.subscription.address
        self._say(f"connected to MQTT broker {address}, {'session kept' if self._kept else 'new session'}")
        if self.connections > 1 and not self._kept:
            self.say(f"MQTT broker {address} has forgotten our session: what was published while we were away may be missing")

    def _on_message(self, _c: paho.Client, _u: Any, message: paho.MQTTMessage) -> None:
        if self._closing:
            return  # not taken, not acknowledged: comes again
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = "(topic is not UTF-8)"
        done = self._done(message.mid) if message.qos else _nothing
        self.on_message(Message(topic, bytes(message.payload), message.retain, done))

    def _done(self, mid: int) -> Callable[[], None]:
        entry = self.acks.received(mid)
        return lambda: self.acks.stored(entry)


def _nothing() -> None:
    """QoS 0 wants no acknowledgement."""


def tls_context(ca: str) -> ssl.SSLContext:
    """Trust in the certificates of a file, or in the system's when there is none. Raises MqttError."""
    try:
        return ssl.create_default_context(cafile=ca or None)
    except (OSError, ssl.SSLError) as error:
        raise MqttError(f"FOOTSTREAM_MQTT_CA={ca}: {error}; name a file with CA certificates in PEM") from None
