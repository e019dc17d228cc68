"""`footstream up` and `demo` refuse in one line."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from infra.supervisor import Lock


def footstream(*words: str, **settings: object) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FOOTSTREAM_")}
    environment |= {f"FOOTSTREAM_{name.upper()}": str(value) for name, value in settings.items()}
    return subprocess.run([sys.executable, "-m", "infra", *words], capture_output=True, text=True, env=environment, timeout=60)


def one_line(done: subprocess.CompletedProcess[str], code: int = 1) -> str:
    assert done.returncode == code, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_a_port_in_use_is_one_line_with_the_setting(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = footstream("up", data=tmp_path, api_port=taken.getsockname()[1])
    assert "FOOTSTREAM_API_PORT" in one_line(done)


def test_a_second_up_on_the_same_data_is_refused(tmp_path: Path) -> None:
    lock = Lock(tmp_path)
    assert f"process {os.getpid()} runs there already" in one_line(footstream("up", data=tmp_path))
    lock.close()


def test_a_wrong_setting_is_one_line(tmp_path: Path) -> None:
    assert "api_port" in one_line(footstream("up", data=tmp_path, api_port="eighty")).lower()


@pytest.mark.parametrize("words", [["--stores", "0"], ["--speed", "0"]])
def test_a_demo_of_nothing_is_refused(words: list[str]) -> None:
    assert words[0] in one_line(footstream("demo", *words), 2)
