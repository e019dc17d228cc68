"""How long a queue with several servers makes people wait: Erlang-C (nobody leaves) and Erlang-A (people lose patience).

Rates are per second. Formulas and known answers: kpis.md 2.6.
"""

from math import exp

import msgspec

_STABLE = 1e-9
"""Load per server this close to 1 is unstable: rounding must not turn it into an answer."""


class Delay(msgspec.Struct, frozen=True):
    """Steady state of an Erlang-C queue: probability of having to wait, mean wait of everybody (s), spare rate of service."""

    waits: float
    wait_s: float
    spare: float

    def served_within(self, seconds: float) -> float:
        """Share of people who wait no longer than this."""
        return 1.0 - self.waits * exp(-self.spare * seconds)


def erlang_c(arrivals: float, service: float, servers: int) -> Delay | None:
    """Steady state for arrivals per s and services per s of each server; None when it is unstable, or has no server."""
    if servers <= 0 or service <= 0.0 or arrivals >= servers * service * (1.0 - _STABLE):
        return None
    load, blocked = arrivals / service, 1.0
    for k in range(1, servers + 1):
        blocked = load * blocked / (k + load * blocked)
    waits = blocked / (1.0 - load / servers * (1.0 - blocked))
    spare = servers * service - arrivals
    return Delay(waits, waits / spare, spare)


class Impatient(msgspec.Struct, frozen=True):
    """Steady state of an Erlang-A queue: people waiting, mean wait of everybody (s), share that leaves unserved."""

    length: float
    wait_s: float
    leaves: float


def erlang_a(arrivals: float, service: float, patience: float, servers: int) -> Impatient:
    """Steady state with people who leave at rate `patience` each while they wait: a birth-death chain, always stable.

    Raises ValueError for rates that are not positive.
    """
    if min(arrivals, service, patience) <= 0.0 or servers < 0:
        raise ValueError(f"rates must be positive: arrivals {arrivals}, service {service}, patience {patience}")
    weight, whole, waiting, people = 1.0, 1.0, 0.0, 0
    while people < servers or weight >= 1e-12 * whole:
        people += 1
        weight *= arrivals / (min(people, servers) * service + max(0, people - servers) * patience)
        whole += weight
        waiting += max(0, people - servers) * weight
        if weight > 1e200:  # a long way up to many servers: keep within range
            weight, whole, waiting = weight / 1e200, whole / 1e200, waiting / 1e200
    length = waiting / whole
    return Impatient(length, length / arrivals, patience * length / arrivals)
