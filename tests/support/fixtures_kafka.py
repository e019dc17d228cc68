"""Fixtures with a real Kafka."""

from collections.abc import Iterator

import pytest

from tests.support.kafka import KafkaBroker


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaBroker]:
    """One running broker for all tests of a run: use a topic prefix of your own, and leave it running."""
    with KafkaBroker() as broker:
        yield broker


@pytest.fixture(scope="module")
def own_kafka() -> Iterator[KafkaBroker]:
    """A broker of this module's own, to be stopped and killed; each test leaves it running."""
    with KafkaBroker() as broker:
        yield broker
