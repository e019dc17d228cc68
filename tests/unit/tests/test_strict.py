"""Under CI nothing may be skipped."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.system_tools import Tool, java_version, missing

SKIPS = """
import pytest

def test_good(): pass

@pytest.mark.skip(reason="not today")
def test_skipped(): pass

@pytest.mark.xfail
def test_expected_to_fail(): assert False
"""


def run(folder: Path, ci: str) -> str:
    (folder / "test_it.py").write_text(SKIPS)
    (folder / "conftest.py").write_text('pytest_plugins = ["tests.support.strict"]\n')
    program = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), str(folder)]
    root = Path(__file__).parents[3]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(root), "CI": ci}
    return subprocess.run(program, capture_output=True, text=True, cwd=folder, env=environment).stdout


def test_a_skipped_test_is_a_failure_under_ci(tmp_path: Path) -> None:
    said = run(tmp_path, "true")
    assert "1 failed, 1 passed, 1 error" in said
    assert "nothing may be skipped under CI" in said
    assert "not today" in said


def test_a_skipped_test_is_a_skipped_test_elsewhere(tmp_path: Path) -> None:
    assert "1 passed, 1 skipped, 1 xfailed" in run(tmp_path, "")


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('openjdk version "17.0.14" 2025-01-21', 17),
        ('java version "1.8.0_292"', 8),
        ("no such thing", 0),
        ('openjdk version "21" 2023', 21),
    ],
)
def test_the_version_of_java_is_read(text: str, version: int) -> None:
    assert java_version(text) == version


def test_a_missing_tool_is_named_with_what_is_wrong() -> None:
    there, gone = Tool("a", ("a",), "x", lambda: ""), Tool("b", ("b",), "y", lambda: "b is not on the PATH")
    assert missing([there, gone]) == [(gone, "b is not on the PATH")]
