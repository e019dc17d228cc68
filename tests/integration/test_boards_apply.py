"""`footstream boards apply` with the real grafana-client against an API that holds Grafana's rules."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboards.grafana import dashboards
from tests.support.grafana import TOKEN, FakeGrafana, environment, fake_grafana


@pytest.fixture
def grafana() -> Iterator[tuple[str, FakeGrafana]]:
    with fake_grafana() as found:
        yield found


def apply(url: str, token: str = TOKEN, python: Path | None = None, **settings: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("FOOTSTREAM_", "GRAFANA_", "PYTHON"))}
    return subprocess.run(
        [str(python or environment()), "-m", "infra", "boards", "apply", "--url", url],
        env={**clean, "GRAFANA_TOKEN": token, **settings},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_first_run_makes_everything_and_the_second_writes_nothing(grafana: tuple[str, FakeGrafana]) -> None:
    url, state = grafana
    first = apply(url, FOOTSTREAM_READER_PASSWORD="one")
    assert (first.returncode, first.stderr) == (0, "")
    assert state.boards.keys() == {board["uid"] for board in dashboards()}
    assert state.folders.keys() == {"footstream"}
    assert state.secrets == {"footstream-clickhouse": {"password": "one"}}
    made = list(state.writes)
    assert len(made) == 2 + len(dashboards())
    second = apply(url, FOOTSTREAM_READER_PASSWORD="one")
    assert (second.returncode, second.stdout.strip()) == (0, "nothing to do")
    assert state.writes == made


def test_only_what_differs_is_written_again(grafana: tuple[str, FakeGrafana]) -> None:
    url, state = grafana
    assert apply(url, FOOTSTREAM_READER_PASSWORD="one").returncode == 0
    state.boards["footstream-store"]["dashboard"]["title"] = "changed by hand"
    state.folders["footstream"]["title"] = "renamed"
    state.writes.clear()
    assert apply(url, FOOTSTREAM_READER_PASSWORD="two").returncode == 0
    assert state.writes == [
        "PUT /api/folders/footstream",
        "PUT /api/datasources/uid/footstream-clickhouse",
        "POST /api/dashboards/db",
    ]
    assert state.secrets["footstream-clickhouse"] == {"password": "two"}


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1
    lines = done.stderr.strip().split("\n")
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_refusals_are_one_line_with_a_remedy(grafana: tuple[str, FakeGrafana]) -> None:
    url, state = grafana
    assert "HTTP 401" in one_line(apply(url, token="wrong"))
    assert "check the URL" in one_line(apply("http://127.0.0.1:1"))
    state.sources["another"] = {"name": "Footstream ClickHouse"}
    assert "HTTP 409" in one_line(apply(url))


def test_without_the_extra_it_says_so(grafana: tuple[str, FakeGrafana]) -> None:
    assert "footstream[grafana]" in one_line(apply(grafana[0], python=Path(sys.executable)))
