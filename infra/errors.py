"""Errors that a person can do something about: one line each, with an exit code."""

from connectors.log import LogError
from infra.settings import SettingsError

EXIT_BUG = 70
"""Exit code of a process that ends by an error that nobody expected."""


class Problem(Exception):
    """What failed, where, and what to do next, in one line. `code` is the exit code of the process."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


def problem_of(error: BaseException) -> Problem | None:
    """The one line for an expected error; None for a bug."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, LogError | SettingsError) or getattr(error, "footstream_problem", False):
        return Problem(str(error))
    return None
