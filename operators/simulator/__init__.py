"""A simulated chain of stores with a known truth: who really came, and what the sensors said of it. Pure and seeded.

`chain(...)` builds the stores; `Chain.stream()` hands out authentic payloads in the order in which they are sent, each with
the counting windows that the tables must hold because of it; `Chain.people(...)` tells who was really there.
"""

from operators.simulator.plan import Chain, chain
from operators.simulator.stream import Sent, Stream, Window

__all__ = ["Chain", "Sent", "Stream", "Window", "chain"]
