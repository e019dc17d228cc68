"""Totals find lost reports and say how many people were in them, whatever comes late."""

import random

import pytest

from operators.totals import LineTotals, imputed, increase

T = 1_785_492_000
People = dict[int, tuple[int, int]]


def told(line: LineTotals, minute: int, people: tuple[int, int]) -> None:
    line.counts(T + 60 * minute, T + 60 * minute + 60, *people, known=minute)


def test_counters_go_on_at_zero_after_16_bits_and_are_set_back_otherwise() -> None:
    assert increase(10, 14) == (4, False)
    assert increase(65_530, 4) == (10, False)
    assert increase(500, 4) == (4, True)
    assert increase(70_000, 4) == (4, True)


@pytest.mark.parametrize("seed", range(20))
def test_what_is_lost_is_found_and_sized_and_late_reports_fill_it(seed: int) -> None:
    """Two hours of minutes; a third of the messages never comes or comes in the end, in any order. Counters wrap meanwhile."""
    rng = random.Random(seed)
    people: People = {m: (rng.randrange(6), rng.randrange(6)) for m in range(120)}
    totals: People = {}
    into, out = 65_400, 100
    for m in range(120):
        into, out = (into + people[m][0]) % 65_536, (out + people[m][1]) % 65_536
        totals[m] = into, out
    line = LineTotals()
    later = [m for m in range(1, 119) if rng.random() < 1 / 3]
    for m in (m for m in range(120) if m not in later):
        told(line, m, people[m])
        line.total(T + 60 * m + 60, *totals[m], known=m)
    never = set(rng.sample(later, len(later) // 2))
    for check in ("before", "after"):
        missing = set(later) if check == "before" else never
        if check == "after":
            for m in sorted(set(later) - never, key=lambda m: rng.random()):
                told(line, m, people[m])
        for i in (0, 1):
            assert sum(g.lost[i] for g in line.gaps) == sum(people[m][i] for m in missing), seed
        filled = {m: p for g in line.gaps for m, seconds, *p in imputed(g) if seconds}
        assert set(filled) == {T + 60 * m for m in missing}, seed
        for gap in line.gaps:
            rows = list(imputed(gap))
            assert (sum(r[2] for r in rows), sum(r[3] for r in rows)) == gap.lost
            assert gap.reason == ("lost" if gap.missing else "filled")


def test_a_counter_that_was_set_back_within_a_gap_gives_a_lower_bound() -> None:
    line = LineTotals()
    line.total(T, 500, 500, 0)
    gap = line.total(T + 300, 7, 2, 1)
    assert gap is not None
    assert (gap.reason, gap.lost, gap.missing) == ("reset", (7, 2), [(T, T + 300)])


def test_a_counter_that_was_set_back_while_every_report_came_is_no_gap() -> None:
    line = LineTotals()
    line.total(T, 500, 500, 0)
    told(line, 0, (4, 4))
    assert line.total(T + 60, 1, 0, 1) is None


def test_periods_and_totals_that_disagree_are_one_mismatch_and_nothing_is_filled_in() -> None:
    line = LineTotals()
    line.total(T, 0, 0, 0)
    for m in range(3):
        told(line, m, (2, 0))
        line.total(T + 60 * m + 60, 3 * (m + 1), 0, m)
    (gap,) = line.gaps
    assert (gap.start, gap.end, gap.lost, gap.reason, gap.n) == (T, T + 180, (3, 0), "mismatch", 3)
    assert list(imputed(gap)) == []


def test_nobody_is_filled_in_where_reports_tell_more_than_totals_or_for_days() -> None:
    line = LineTotals()
    line.total(T, 0, 0, 0)
    told(line, 0, (9, 0))
    gap = line.total(T + 120, 5, 1, 1)
    assert gap is not None
    assert (gap.reason, gap.lost) == ("mismatch", (-4, 1))
    assert [(m - T, n) for m, _, n, _ in imputed(gap)] == [(60, 0)]
    far = line.total(T + 120 + 3 * 86_400, 900, 900, 2)
    assert far is not None and list(imputed(far)) == []


def test_a_total_that_comes_late_is_not_looked_at_and_a_line_without_totals_keeps_nothing() -> None:
    line = LineTotals()
    told(line, 0, (1, 1))
    assert line == LineTotals()
    line.total(T + 600, 50, 50, 0)
    assert line.total(T + 300, 20, 20, 1) is None
    for m in range(10, 10 + 3002):
        told(line, m, (1, 1))
    assert len(line.pending) <= 1 and line.at == 0
