"""The wait of somebody who joins: learnt from those who were served."""

import heapq
import random

from operators.queues import Waiting


def _run(queue: Waiting, customers: int, servers: int, seed: int) -> list[tuple[float, float]]:
    """First come, first served: (said, true) of everyone."""
    rng, now, free = random.Random(seed), 0.0, [(0.0, f"s{n}") for n in range(servers)]
    events: list[tuple[float, int, int, str, str]] = []
    true = []
    for number in range(customers):
        now += rng.expovariate(servers / 190.0)
        at, server = heapq.heappop(free)
        begin = max(now, at)
        end = begin + rng.expovariate(1 / 180.0)
        heapq.heappush(free, (end, server))
        true.append(begin - now)
        events += [(now, 1, number, "joined", ""), (begin, 2, number, "served", server), (end, 0, number, "ended", "")]
    said: dict[int, float] = {}
    for at, _, number, what, server in sorted(events):
        if what == "joined":
            said[number] = queue.joined(at, str(number))
        elif what == "served":
            queue.served(at, str(number), server)
        else:
            queue.ended(at, str(number))
    return [(said[n], wait) for n, wait in enumerate(true)]


def test_it_beats_the_mean_wait_by_half_on_a_simple_queue() -> None:
    pairs = _run(Waiting(), 3000, 4, seed=11)[1000:]
    mean = sum(wait for _, wait in pairs) / len(pairs)
    error = sum(abs(said - wait) for said, wait in pairs)
    assert error < 0.5 * sum(abs(mean - wait) for _, wait in pairs)


def test_it_answers_before_anybody_was_served_and_is_never_negative() -> None:
    queue = Waiting()
    assert all(0.0 <= queue.joined(float(n), str(n)) <= 6 * 3600.0 for n in range(50))


def test_unknown_people_do_no_harm() -> None:
    queue = Waiting()
    queue.left(1.0, "nobody")
    queue.ended(2.0, "nobody")
    queue.served(3.0, "walked straight in", "s1")
    assert queue.joined(4.0, "a") >= 0.0
