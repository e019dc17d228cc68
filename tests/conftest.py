"""Fixtures for all tests: one module per shared server, one line each."""

pytest_plugins = [
    "tests.support.fixtures_boards",
    "tests.support.fixtures_kafka",
    "tests.support.fixtures_mqtt",
    "tests.support.fixtures_store",
    "tests.support.strict",
]
