import socket
import threading

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from connectors.mqtt import AckQueue, Address, Message, MqttError, Subscriber, Subscription, parse_filters, parse_url
from infra.errors import problem_of


def _messages(*mids: int) -> list[Message]:
    return [Message(b"t", b"", mid=mid) for mid in mids]


def test_acknowledgements_go_out_in_order_of_receipt_only_the_stored_prefix_and_in_one_write() -> None:
    writes: list[list[int]] = []
    queue = AckQueue(writes.append)
    first, none, second, third = messages = _messages(7, 0, 3, 9)
    queue.received(messages)
    second.stored = True
    queue.flush()
    assert writes == []
    first.stored = True
    queue.flush()
    assert writes == [[7, 3]], "QoS 0 holds up nothing and is not acknowledged"
    third.stored = True
    queue.flush()
    queue.flush()
    assert writes == [[7, 3], [9]] and len(queue) == 0 and not none.stored


def test_acknowledgements_of_an_older_connection_are_never_sent() -> None:
    writes: list[list[int]] = []
    queue = AckQueue(writes.append)
    (old,), (new,) = _messages(1), _messages(1)  # the broker uses the packet id again
    queue.received([old])
    queue.reset()
    queue.received([new])
    old.stored = True
    queue.flush()
    assert writes == []
    new.stored = True
    queue.flush()
    assert writes == [[1]]


def test_urls_name_host_port_user_and_tls() -> None:
    assert parse_url("mqtt://broker") == Address("broker", 1883, "", False)
    assert parse_url("mqtts://a%40b@10.0.0.1") == Address("10.0.0.1", 8883, "a@b", True)
    assert str(parse_url("mqtts://me@h:99")) == "mqtts://h:99"


@pytest.mark.parametrize("url", ["http://x", "broker:1883", "mqtt://", "mqtt://h:port", "mqtt://h/topic", "mqtt://u:hunter2@h"])
def test_a_wrong_url_is_one_line_without_any_password(url: str) -> None:
    with pytest.raises(MqttError, match="FOOTSTREAM_MQTT") as raised:
        parse_url(url)
    assert "hunter2" not in str(raised.value) and "\n" not in str(raised.value)
    assert problem_of(raised.value) is not None


def test_topic_filters_are_split_and_checked() -> None:
    assert parse_filters(" a/# , b/+/c,#") == ("a/#", "b/+/c", "#")
    for wrong, why in (("", "no topic filter"), ("a/#/b", "at the end"), ("a#", "at the end"), ("a+/b", "between slashes")):
        with pytest.raises(MqttError, match=why):
            parse_filters(wrong)


def test_shared_subscriptions_are_refused_with_the_reason() -> None:
    with pytest.raises(MqttError, match=r"\$share/g/#.*lose the order of a device"):
        parse_filters("a, $share/g/#")


@pytest.mark.parametrize(("name", "value"), [("version", 4), ("inflight", 0), ("inflight", 70_000), ("client_id", "")])
def test_a_wrong_setting_names_itself(name: str, value: object) -> None:
    with pytest.raises(MqttError, match=f"FOOTSTREAM_MQTT_{name.split('_')[0].upper()}"):
        Subscription(Address("h", 1, "", False), **{name: value})  # type: ignore[arg-type]  # wrong on purpose


def test_the_password_is_not_part_of_the_printed_subscription() -> None:
    assert "hunter2" not in repr(Subscription(Address("h", 1, "u", False), password="hunter2"))


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (ReasonCode(PacketTypes.CONNACK, "Not authorized"), "name a user in FOOTSTREAM_MQTT"),
        (ReasonCode(PacketTypes.CONNACK, "Unsupported protocol version"), "FOOTSTREAM_MQTT_VERSION=3"),
        (ReasonCode(PacketTypes.CONNACK, "Client identifier not valid"), "another FOOTSTREAM_MQTT_CLIENT"),
    ],
)
def test_a_refusal_that_will_not_pass_ends_the_session_with_a_remedy(reason: ReasonCode, said: str) -> None:
    ended: list[bool] = []
    subscriber = Subscriber(Subscription(Address("h", 1, "", False)), lambda _: None, on_failure=lambda: ended.append(True))
    subscriber._on_connect(subscriber.client, None, None, reason, None)  # type: ignore[arg-type]  # flags are not looked at
    assert ended == [True] and subscriber.failure is not None and said in str(subscriber.failure)


def test_a_session_taken_over_ends_with_a_line_and_a_busy_server_does_not() -> None:
    lines: list[str] = []
    subscriber = Subscriber(Subscription(Address("h", 1, "", False)), lambda _: None, say=lines.append)
    busy = ReasonCode(PacketTypes.CONNACK, "Server busy")
    for _ in range(3):
        subscriber._on_connect(subscriber.client, None, None, busy, None)  # type: ignore[arg-type]  # flags are not looked at
    assert subscriber.failure is None and len(lines) == 1, "one line per change of state"
    subscriber._on_disconnect(subscriber.client, None, None, ReasonCode(PacketTypes.DISCONNECT, "Session taken over"), None)
    assert "another client uses the id 'footstream-bridge'" in str(subscriber.failure)


def test_one_that_ends_the_connection_without_an_answer_is_named_once_with_what_may_be_wrong() -> None:
    lines: list[str] = []
    said, refusals = threading.Event(), list[socket.socket]()

    def say(line: str) -> None:
        lines.append(line)
        said.set()

    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            while len(refusals) < 2:
                peer, _ = server.accept()
                peer.recv(100)
                peer.close()
                refusals.append(peer)

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        port = server.getsockname()[1]
        subscriber = Subscriber(Subscription(Address("127.0.0.1", port, "", False), retry_s=(1, 1)), lambda _: None, say)
        subscriber.start()
        assert said.wait(10), "nobody would ever learn why nothing comes"
        thread.join(10)
        subscriber.close()
    assert len(refusals) == 2 and len(lines) == 1, "one line per change of state"
    assert f"127.0.0.1:{port} ends the connection before it takes us" in lines[0]
    assert "mqtts:// or FOOTSTREAM_MQTT_VERSION=3" in lines[0]


def test_a_broker_that_stays_away_is_spoken_of_again_and_again_and_more_and_more_rarely() -> None:
    now, lines = [0.0], list[tuple[float, str]]()
    subscription = Subscription(Address("h", 1, "", False))
    subscriber = Subscriber(subscription, lambda _: None, lambda line: lines.append((now[0], line)), now=lambda: now[0])
    for second in range(1000):
        now[0] = float(second)
        subscriber._on_connect_fail(subscriber.client, None)
    assert [at for at, _ in lines] == [0, 10, 30, 70, 150, 310, 610, 910]
    first, again = lines[0][1], lines[1][1]
    assert "cannot reach MQTT broker mqtt://h:1" in first and "is FOOTSTREAM_MQTT right?" in first
    assert again == f"{first}; for 10 s now, 11 tries"
    assert subscriber.trouble == first
    subscriber._on_subscribe(subscriber.client, None, 1, [], None)
    assert subscriber.trouble == ""
