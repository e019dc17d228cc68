"""What a lane says of the partitions that it reads."""

import threading
import time
from pathlib import Path

from connectors.log import RAW, NewRecord, open_log
from infra.lane import Lane
from infra.lane_metrics import LaneMetrics, PathSampler


def test_each_partition_tells_its_bounds_its_lag_and_the_age_of_what_was_read(tmp_path: Path) -> None:
    log = open_log(f"sqlite:///{tmp_path}")
    log.ensure_topic(RAW, 1)
    writer = log.writer()
    writer.append_many(RAW, [NewRecord("k", b"v", 1)] * 7)
    writer.close()
    lane = Lane()
    lane.positions[0], lane.log_ms[0] = 5, int((time.time() - 60) * 1000)
    value = LaneMetrics(lane, log, [0]).registry.get_sample_value
    found = [
        value(f"footstream_lane_partition_{name}", {"partition": "0"})
        for name in ("first_position", "end_position", "lag_messages")
    ]
    assert found == [0, 7, 2]
    age = value("footstream_lane_partition_read_age_seconds", {"partition": "0"})
    assert age is not None and 59 < age < 90


def test_a_log_that_does_not_answer_leaves_no_old_figure(tmp_path: Path) -> None:
    lane = Lane()
    lane.positions[0] = 5
    registry = LaneMetrics(lane, open_log(f"sqlite:///{tmp_path / 'missing'}"), [0]).registry
    assert registry.get_sample_value("footstream_lane_partition_end_position", {"partition": "0"}) is None


def test_a_batch_that_was_stored_before_anybody_looked_counts_in_the_path() -> None:
    lane, told = Lane(), threading.Event()
    lane.seq = lane.durable = 1
    lane.log_ms[0] = int(time.time() * 1000)
    sampler = PathSampler(lane, lambda _: told.set())
    sampler.start()
    assert told.wait(20)
    lane.stop.set()
    sampler.join(20)
