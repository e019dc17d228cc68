"""When a slot asks the store about late reports."""

from collections.abc import Mapping, Sequence

import pytest

from flows import ordered
from infra.lane import Item, Lane, Work
from infra.slots import SiteSlot
from operators.ingest import Known
from operators.moment import Context
from schemas.events import Plain
from schemas.sites import Device, Line, Registry, Site

DEVICE = Device("d", "Door", lines={1: Line(1, "Door", "entrance")})
REGISTRY = Registry({"shop": Site("shop", "Shop", "UTC", devices={"d": DEVICE})})
NOON, DAY = 1_785_240_000, 86_400
Asked = list[set[tuple[str, int]]]


def slot(saved: object, asked: Asked) -> SiteSlot:
    def recall(wanted: set[tuple[str, int]], partition: int, position: int) -> Mapping[tuple[str, int], Sequence[Known]]:
        asked.append(wanted)
        return {}

    return SiteSlot("00000.0", saved, Lane(), REGISTRY, ordered(["traffic"]), Context(), recall)


def item(position: int, minutes: Sequence[int]) -> Item:
    """Reports of windows that begin at those epochs, each of which came two seconds after its end."""
    work: list[Plain | Work] = []
    for n, start in enumerate(minutes):
        arrival = (start + 62) * 1000
        work.append(
            Plain("d", "vs13x", str(start), start, start + 60, (1,), (3, 1), arrival=arrival, place=position + n, stamp=1)
        )
    newest = max(w.arrival for w in work)
    return Item("00000.0", 0, 1, 1, position, position + len(work), newest, {"shop": work})


def test_reports_that_came_in_time_are_not_looked_up_however_much_of_the_day_a_batch_holds() -> None:
    asked: Asked = []
    slot(None, asked).handle([item(0, [NOON + 60 * n for n in range(600)])])
    assert asked == []


def test_an_old_record_that_comes_again_is_looked_up_also_as_the_first_after_a_restart() -> None:
    asked: Asked = []
    before = slot(None, asked)
    before.handle([item(0, [NOON + 60 * n for n in range(2000)])])
    after = slot(before.snapshot(), asked)
    after.handle([item(2000, [NOON])])
    assert asked == [{("d", NOON // DAY)}]


def test_a_plain_report_that_breaks_an_operator_is_named_by_its_position() -> None:
    lane = Lane()
    one = SiteSlot("00000.0", None, lane, REGISTRY, ordered(["traffic"]), Context(), lambda *_: {})
    one.handle([item(0, [NOON])])
    good = item(1, [NOON + 60 * n for n in range(1, 9)])
    broken = good.work["shop"][5]
    assert isinstance(broken, Plain)
    broken.start = None  # type: ignore[assignment]  # what no decoder makes
    with pytest.raises(TypeError):
        one.handle([good])
    assert lane.handling == (0, broken.place) == (0, 6)
