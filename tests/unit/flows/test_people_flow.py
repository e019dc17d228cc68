"""People by class in a chain: nothing without the registry's word, nothing twice, and no table that tells single reports."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from flows import ordered
from infra.chain import Chain
from operators.ingest import Arrival
from operators.moment import Context, Output
from schemas.events import Demographics, Event, LineCount, Report, event_id
from schemas.rows import Observations
from schemas.rows_zones import PeopleHours
from schemas.sites import Device, Line, Site

T = 1_785_492_000
"""A full hour."""
DOOR = Device("d", "Door", lines={1: Line(1, "Door")})
SITE = Site("shop", "Shop", "UTC", devices={"d": DOOR}, demographics=True)
PEOPLE = {"gender:female": 20, "gender:male": 31}


@dataclass
class Player:
    """A chain that gets reports two seconds after their end; `start` s after T it hears of the store for the first time."""

    site: Site = SITE
    out: Output = field(default_factory=lambda: Output({}, []))
    position: int = 0

    def __post_init__(self) -> None:
        self.chain = Chain(self.site, ordered(["people"]), None, Context())

    def say(self, at: int, *events: Event, arrival: int | None = None) -> "Player":
        report = Report("d", "made_up", f"{at}", T + at, list(events))
        arrived = (T + at + 2 if arrival is None else T + arrival) * 1000
        self.chain.handle([Arrival(0, self.position, arrived, report)], DOOR, b"", 1, 0, self.out)
        self.position += 1
        return self

    def begin(self) -> "Player":
        return self.say(-60, LineCount(1, "window", T - 120, T - 60, 0, 0, child_in=0))

    def rows(self) -> list[dict[str, Any]]:
        return [dict(zip(PeopleHours.columns, row, strict=True)) for row in self.out.rows.get("people_hours", [])]


def told(at: int, groups: dict[str, int]) -> Demographics:
    return Demographics(1, None, T + at - 60, T + at, groups)


def gender(rows: list[dict[str, Any]]) -> list[tuple[str, int | None]]:
    return [(r["class_name"], r["people"]) for r in rows if r["kind"] == "gender"]


def test_without_the_registrys_word_nothing_is_kept() -> None:
    player = Player(msgspec.structs.replace(SITE, demographics=False))
    player.begin().say(600, told(600, PEOPLE)).chain.advance(T + 10_000, player.out)
    assert player.rows() == []
    assert b"gender" not in player.chain.state()


def test_an_hour_is_written_once_when_the_horizon_has_passed_and_what_is_later_changes_nothing() -> None:
    player = Player().begin().say(600, told(600, PEOPLE))
    player.chain.advance(T + 4499, player.out)
    assert player.rows() == []
    player.chain.advance(T + 4500, player.out)
    player.say(1200, told(1200, {"gender:female": 1, "gender:male": 0}), arrival=4600)
    player.chain.advance(T + 20_000, player.out)
    assert gender(player.rows()) == [("female", 20), ("male", 30)]


def test_an_hour_of_which_the_beginning_is_not_known_is_not_written() -> None:
    player = Player().say(600, told(600, PEOPLE))
    player.chain.advance(T + 20_000, player.out)
    assert player.rows() == []


def test_an_hour_whose_classes_were_lost_with_the_state_is_not_written_in_part() -> None:
    player = Player().begin().say(600, told(600, {})).say(1200, told(1200, PEOPLE))
    player.chain.advance(T + 20_000, player.out)
    assert gender(player.rows()) == []


def test_a_report_over_several_hours_tells_no_single_hour() -> None:
    player = Player().begin().say(7000, Demographics(1, None, T + 600, T + 7000, PEOPLE))
    player.chain.advance(T + 20_000, player.out)
    assert gender(player.rows()) == []


def test_no_observation_and_no_id_tells_the_people_of_a_report() -> None:
    player = Player().begin().say(600, told(600, PEOPLE))
    stored = player.out.rows["observations"][-1]
    assert "gender" not in str(stored) and "31" not in dict(zip(Observations.columns, stored, strict=True))["detail"]
    report = Report("d", "made_up", "600", T + 600, [])
    ids = {event_id(report, told(600, {"gender:female": n}), 0) for n in range(50)}
    assert len(ids) == 1, "whoever tried all numbers would find the right one by its id"
