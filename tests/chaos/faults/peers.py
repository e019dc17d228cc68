"""F5, F6, F14, F20: what we talk to dies, hangs, is slow, or the network between is bad."""

import time
from collections.abc import Callable
from threading import Thread

from tests.chaos.faults import Bench, fault
from tests.chaos.stage import Size, Stage
from tests.support.kafka import kafka_broker
from tests.support.proxy import Proxy

AWAY_S = 30


def _publishing(stage: Stage, per_second: float) -> Thread:
    """Publish everything in a thread."""
    thread = Thread(target=stage.publish, args=(stage.book.sent, per_second), daemon=True)
    thread.start()
    return thread


@fault("F5", f"mosquitto ends by SIGTERM three times, then hangs for {AWAY_S} s (SIGSTOP)", "nothing lost, nothing doubled")
def broker_stops(bench: Bench) -> None:
    with bench.stage() as stage:
        for number, piece in enumerate(stage.pieces(4)):
            stage.publish(piece)
            if number < 3:
                stage.broker.stop()
                stage.broker.start()
                continue
            stage.broker.pause()
            time.sleep(AWAY_S)
            stage.broker.resume()
        bench.prove(stage)


@fault(
    "F5", "kill -9 of mosquitto, 3 times", "lost is at most what it held: acknowledged by it, not yet handed on; nothing else"
)
def broker_killed(bench: Bench) -> None:
    with bench.stage() as stage:
        held: set[bytes] = set()
        log = stage.open_log()
        for number, piece in enumerate(stage.pieces(4)):
            stage.publish(piece, 300)
            if number < 3:
                held |= {s.payload for s in piece} & stage.missing(log)
                stage.broker.kill()
                stage.broker.start()
        time.sleep(10)  # what is still on its way arrives
        lost = stage.missing(log)
        log.close()
        bench.figures |= {"held": len(held), "lost": len(lost)}
        if lost - held:
            bench.wrong.append(f"{len(lost - held)} messages lost that the bridge had taken before the kill")
        stage.forget(lost)
        bench.prove(stage)


@fault(
    "F6", f"kill -9 of Kafka's only broker, away for {AWAY_S} s, twice", "nothing lost, nothing doubled; bridge and lane go on"
)
def kafka_away(bench: Bench) -> None:
    with kafka_broker() as kafka, bench.stage(log_url=kafka.url) as stage:
        thread = _publishing(stage, 80)
        for _ in range(2):
            time.sleep(stage.rng.uniform(4, 8))
            kafka.kill9()
            time.sleep(AWAY_S)
            kafka.start()
        thread.join()
        bench.prove(stage)


@fault("F14", "each answer of the store takes 5 s, for a minute", "nothing lost, memory as ever, then everything catches up")
def slow_store(bench: Bench) -> None:
    with bench.stage(proxied=True) as stage:
        assert stage.store_way is not None
        thread = _publishing(stage, 100)
        time.sleep(3)
        stage.store_way.lag_s = 5
        time.sleep(60)
        stage.store_way.lag_s = 0
        thread.join()
        bench.prove(stage)


@fault("F14", "the receiver takes 14 s for each of the first posts, for a minute", "every alert once; tables as ever")
def slow_receiver(bench: Bench) -> None:
    with bench.stage() as stage:
        stage.receiver.slow_s = 14
        stage.receiver.faults = lambda _: "slow"
        thread = _publishing(stage, 100)
        time.sleep(60)
        stage.receiver.faults = lambda _: None
        thread.join()
        bench.prove(stage)


def _delay(way: Proxy) -> None:
    way.lag_s = 0.05


def _narrow(way: Proxy) -> None:
    way.rate = 200_000


def _byte_by_byte(way: Proxy) -> None:
    way.most = 1


def _half_open(way: Proxy) -> None:
    way.frozen = True


def _resets(way: Proxy) -> None:
    for _ in range(10):
        way.cut()
        time.sleep(0.3)


def _unreachable(way: Proxy) -> None:
    way.refuse = True
    way.cut()


NETWORK: tuple[tuple[str, Callable[[Proxy], None]], ...] = (
    ("delay of 50 ms", _delay),
    ("200 kB/s", _narrow),
    ("one byte at a time", _byte_by_byte),
    ("half open for 8 s", _half_open),
    ("reset in the middle of messages", _resets),
    ("cut for 8 s", _unreachable),
)


def _better(way: Proxy) -> None:
    way.lag_s, way.most, way.rate, way.frozen, way.refuse = 0.0, 0, 0, False, False
    way.cut()


@fault("F20", "network to mosquitto: " + ", ".join(name for name, _ in NETWORK), "nothing lost, nothing doubled")
def network_to_broker(bench: Bench) -> None:
    with bench.stage(proxied=True) as stage:
        _bad_network(stage, stage.broker_way)
        bench.prove(stage)


@fault("F20", "the same between lane and store", "nothing lost, nothing doubled")
def network_to_store(bench: Bench) -> None:
    with bench.stage(proxied=True) as stage:
        _bad_network(stage, stage.store_way)
        bench.prove(stage)


def _bad_network(stage: Stage, way: Proxy | None) -> None:
    assert way is not None
    thread = _publishing(stage, 80)
    for name, worse in NETWORK:
        stage.say(name)
        worse(way)
        time.sleep(8)
        _better(way)
        time.sleep(2)
    thread.join()


@fault("F13", "ten times as many messages as usual for 15 s", "stored within 30 s of the end; nothing lost")
def burst(bench: Bench) -> None:
    usual = 100
    with bench.stage(Size(40, 4)) as stage:
        stage.publish(stage.book.sent[: usual * 10], usual)
        rest = stage.book.sent[usual * 10 :]
        stage.publish(rest[: usual * 150], usual * 10)
        began = time.monotonic()
        log = stage.open_log()
        stage.stored(log)
        log.close()
        bench.figures["caught_up_s"] = round(time.monotonic() - began, 1)
        if bench.figures["caught_up_s"] > 30:
            bench.wrong.append(f"stored {bench.figures['caught_up_s']} s after the burst, 30 allowed")
        stage.publish(rest[usual * 150 :])
        bench.prove(stage)
