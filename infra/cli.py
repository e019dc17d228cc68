"""The command line `footstream`: every file in `infra/commands/` adds its commands, and loads what it needs when it is called.

Exit code 0 means done. Every expected error is one line on stderr that says what failed, where and what to do; its exit code
is 1 (2 for wrong usage). A traceback is a bug.
"""

import importlib
import os
import pkgutil
import sys

import typer

import infra.commands
from infra.errors import EXIT_BUG, Problem, problem_of
from infra.say import complain, failed

app = typer.Typer(
    name="footstream",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Live store analytics from people-counting sensors.",
)


@app.callback()
def footstream() -> None:
    """Live store analytics from people-counting sensors."""


def _register() -> None:
    for module in sorted(m.name for m in pkgutil.iter_modules(infra.commands.__path__)):
        importlib.import_module(f"infra.commands.{module}").register(app)


def main() -> None:
    """Entry point. Expected errors become one line; FOOTSTREAM_TRACEBACK=1 shows where they came from."""
    traceback = bool(os.environ.pop("FOOTSTREAM_TRACEBACK", ""))
    _register()
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        problem = problem_of(error)
        if traceback or problem is None:
            if failed(error):
                sys.exit(EXIT_BUG)
            raise
        complain(str(problem))
        sys.exit(problem.code)


__all__ = ["Problem", "app", "main"]
