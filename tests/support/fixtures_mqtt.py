"""Fixtures with a real MQTT broker."""

from collections.abc import Iterator

import pytest

from tests.support.mqtt import Mosquitto


@pytest.fixture
def mosquitto() -> Iterator[Mosquitto]:
    """A fresh mosquitto of this test's own."""
    with Mosquitto() as broker:
        yield broker
