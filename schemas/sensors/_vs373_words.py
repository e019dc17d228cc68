"""What the fall radar VS373 says in codes: the same over LoRaWAN and in JSON."""

EVENTS = (
    "fall", "motionless", "dwell", "out_of_bed", "occupied", "vacant", "slow_breathing", "fast_breathing", "lying",
)  # fmt: skip
STATES = {1: "raised", 2: "resolved", 3: "ignored", 4: "report"}
PRESENCE = {"occupied": True, "vacant": False}
"""Events that say whether somebody is there."""


def event_name(code: int) -> str:
    """Raises ValueError for an event that is not published."""
    if not 0 <= code < len(EVENTS):
        raise ValueError(f"event {code} is not known")
    return EVENTS[code]


def state_name(code: int) -> str:
    """Raises ValueError for a status that is not published."""
    if code not in STATES:
        raise ValueError(f"status {code} is not known")
    return STATES[code]
