"""People by class: what may be shown of small groups (kpis.md 3.7).

As soon as one class of a kind has fewer than ten people, all classes of that kind are hidden for that place and hour: hiding
the small one and the smallest other is not enough, because whoever knows the rule, what is shown and the exact total can still
tell it (of 32 people 10 are shown in one class: of the two that are hidden one has nine). What is shown is rounded to five.
"""

from collections.abc import Mapping

LEAST = 10
"""Fewer people than this are not shown."""
ROUND = 5


def shown(people: Mapping[str, int]) -> dict[str, int | None]:
    """What is shown of the classes of one kind (people by class, all of one place and hour); None: hidden."""
    hidden = any(n < LEAST for n in people.values())
    return {name: None if hidden else (n + ROUND // 2) // ROUND * ROUND for name, n in sorted(people.items())}


def by_kind(groups: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """{"gender:female": 3} as {"gender": {"female": 3}}; a name without kind is a `class`."""
    found: dict[str, dict[str, int]] = {}
    for name, people in groups.items():
        kind, mark, word = name.partition(":")
        found.setdefault(kind if mark else "class", {})[word if mark else kind] = people
    return found
