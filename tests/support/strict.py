"""Under CI nothing may be skipped: a skipped test, or one that is expected to fail, counts as a failure.

Property tests try the same cases on every run there, and new ones elsewhere; a failure prints how to repeat it.
"""

import os

import pytest
from hypothesis import settings


def strict() -> bool:
    """Whether this run is CI's."""
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")


# Without a deadline: a busy machine is no failure.
settings.register_profile("footstream", deadline=None, derandomize=strict(), print_blob=True)
settings.load_profile("footstream")


def _refused(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not strict() or report.outcome != "skipped":
        return
    why = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr or "expected to fail")
    report.outcome = "failed"
    report.longrepr = f"{report.nodeid}: nothing may be skipped under CI ({why})"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]  # pluggy's generator
    """Turn the skip of a test into a failure."""
    report = yield
    _refused(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):  # type: ignore[no-untyped-def]  # pluggy's generator
    """Turn the skip of a whole module into a failure."""
    report = yield
    _refused(report)
    return report
