"""The command line as a whole."""

import subprocess
import sys

HEAVY = ("numpy", "prometheus_client", "clickhouse_connect", "schemas.sensors", "operators", "paho", "rich", "fastapi", "chdb")


def test_loading_the_command_line_loads_nothing_that_only_some_commands_need() -> None:
    said = subprocess.run(
        [sys.executable, "-c", "import sys; from infra.cli import _register; _register(); print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "infra.commands.demo" in said
    assert [name for name in HEAVY if name in said] == []
