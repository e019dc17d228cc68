"""What must hold of the messages that a receiver has (reliability.md 5.1, I4)."""

from collections import defaultdict
from collections.abc import Iterable

from schemas.alerts import Transition, notification_id

Message = tuple[str, str, str]
"""(webhook-id, type, dedup key)"""


def complaints(sent: Iterable[Transition], messages: Iterable[Message], receiver: str) -> list[str]:
    """Every live transition exactly one id, no other id, per alert in order and firing and resolved in turn."""
    wanted = {notification_id(t.transition_id, receiver): t for t in sent}
    first = list(dict.fromkeys(messages))  # repeats of one id are allowed, and are dropped by the receiver
    found: list[str] = []
    if len({number for number, _, _ in first}) < len(first):
        found.append("one id with two meanings")
    if missing := [t for number, t in wanted.items() if number not in {m[0] for m in first}]:
        found.append(f"lost: {len(missing)}, first {missing[0].kind} of {missing[0].subject!r} at {missing[0].happened_ms}")
    if new := [m for m in first if m[0] not in wanted]:
        found.append(f"new ids: {new[:3]}")
    for key, got in _by_key(first).items():
        if got != ["alert.firing", "alert.resolved"] * (len(got) // 2) + ["alert.firing"] * (len(got) % 2):
            found.append(f"{key}: not in turn: {got}")
    order = {number: place for place, number in enumerate(wanted)}
    for key, numbers in _ids_by_key(first).items():
        places = [order[number] for number in numbers if number in order]
        if places != sorted(places):
            found.append(f"{key}: out of order")
    return found


def _by_key(messages: list[Message]) -> dict[str, list[str]]:
    kinds: dict[str, list[str]] = defaultdict(list)
    for _, kind, key in messages:
        kinds[key].append(kind)
    return kinds


def _ids_by_key(messages: list[Message]) -> dict[str, list[str]]:
    numbers: dict[str, list[str]] = defaultdict(list)
    for number, _, key in messages:
        numbers[key].append(number)
    return numbers
