"""One real store for all tests, a fresh migrated database for each."""

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest

from connectors.clickhouse import Store
from infra.migrate import migrate
from infra.settings import Settings
from infra.stores import open_store
from tests.support.store import StoreProcess

_number = itertools.count(1)


@pytest.fixture(scope="session")
def store_process() -> Iterator[StoreProcess]:
    """The store that tests share; do not stop it."""
    with StoreProcess() as process:
        yield process


@pytest.fixture
def store_settings(store_process: StoreProcess) -> Iterator[Settings]:
    """Settings with an empty, migrated database of this test's own, where rows of any age stay."""
    settings = replace(store_process.settings, store_database=f"test_{next(_number)}", keep_days="all=0")
    migrate(settings)
    yield settings
    admin = open_store(replace(settings, store_database="default"))
    admin.command(f"DROP DATABASE {settings.store_database} SYNC")
    admin.close()


@pytest.fixture
def store(store_settings: Settings) -> Iterator[Store]:
    """The writer of that database."""
    opened = open_store(store_settings)
    yield opened
    opened.close()


@pytest.fixture
def reader(store_settings: Settings) -> Iterator[Store]:
    """The read-only user of that database."""
    opened = open_store(store_settings, "reader")
    yield opened
    opened.close()
