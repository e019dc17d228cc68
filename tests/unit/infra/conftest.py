"""Fixtures of the parts of the roles."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.alerts import Bench, receiver

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, receiver()).start()
    yield made
    made.close()
