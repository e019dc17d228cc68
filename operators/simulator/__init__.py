"""A simulated chain of stores with a known truth: who really came, and what the sensors said of it. Pure and seeded.

`chain(...)` builds the stores; `Chain.stream()` hands out authentic payloads in the order in which they are sent, each with
the counting windows, people in zones and stays that the tables must hold because of it; `Chain.people(...)` and
`Chain.dwells(...)` tell who was really there.
"""

from operators.simulator.plan import Chain, chain
from operators.simulator.stream import Stream
from operators.simulator.told import Level, Sent, StayTold, Window

__all__ = ["Chain", "Level", "Sent", "StayTold", "Stream", "Window", "chain"]
