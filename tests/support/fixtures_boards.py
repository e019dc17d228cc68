"""Fixtures of boards and API: the seeded chain in a chDB engine, and a server over it."""

from collections.abc import Iterator

import pytest

from tests.support.board_store import BoardEngine, BoardStore
from tests.support.seed import CHAIN, Seed, seed
from tests.support.web import Clock, Site, serving


@pytest.fixture(scope="session")
def chain() -> Seed:
    """Nine days of five stores; nobody changes it."""
    return seed()


@pytest.fixture(scope="session")
def board_engine() -> Iterator[BoardEngine]:
    """An engine for all tests of boards."""
    engine = BoardEngine()
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def chain_store(chain: Seed, board_engine: BoardEngine) -> BoardStore:
    """The chain in an engine; nobody changes it."""
    return BoardStore(board_engine, chain)


@pytest.fixture(scope="session")
def empty_store(board_engine: BoardEngine) -> BoardStore:
    """Tables without rows."""
    return BoardStore(board_engine)


@pytest.fixture(scope="session")
def board(chain: Seed, chain_store: BoardStore) -> Iterator[Site]:
    """A board over the chain, without tokens, at the moment of the seed."""
    with serving(chain_store, Clock(chain.now)) as site:
        yield site


@pytest.fixture
def small_store(board_engine: BoardEngine) -> BoardStore:
    """Two stores and two days in a database of this test's own, to be changed."""
    return BoardStore(board_engine, seed(shops=CHAIN[:2], days=2))
