"""Every role is killed once in the middle of its work; `python -m tests.chaos.kills` does it ten times each on both logs."""

from pathlib import Path

from tests.chaos.kills import run

SEED = 5


def test_killed_roles_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    made = run("mini", SEED, "", tmp_path, print)
    assert not made.wrong, "\n".join(made.wrong)
