"""What is gone between where a lane is and what the log keeps."""

from infra.gaps import Gap, gaps


def test_only_what_was_not_read_and_is_gone_is_a_gap() -> None:
    positions = {0: 10, 1: 10, 2: 10, 3: 0, 4: 10}
    bounds = {0: (0, 20), 1: (10, 10), 2: (15, 20), 3: (7, 9), 4: (12, 12)}
    assert gaps(positions, bounds, {2: 13, 4: 30}) == ([Gap(2, 10, 15, 3), Gap(4, 10, 12, 2)], [])


def test_an_end_before_the_lane_is_a_topic_made_anew() -> None:
    assert gaps({0: 10}, {0: (0, 9)}, {}) == ([], ["partition 0 ends at 9, the lane is at 10"])


def test_a_gap_says_from_where_to_where_and_what_was_stored_before() -> None:
    assert str(Gap(2, 10, 15)) == "partition 2: 10 to 14 (5 records)"
    assert str(Gap(2, 10, 15, 3)) == "partition 2: 10 to 14 (5 records, 3 of them stored before)"
