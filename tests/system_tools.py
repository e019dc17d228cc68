"""What the tests want beside Python: mosquitto, Java 17 with Maven (for a real Kafka), Chromium. `make test` calls this.

Missing programs are installed through apt when that is there and we may (root); otherwise it says plainly what is missing and
which tests need it. Exit code 0 on a person's machine, where those tests then fail or are left out; 1 when CI is set.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tests.support.strict import strict

_PATHS = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"))


class Tool(NamedTuple):
    """A program, the Debian packages that bring it, and the tests that need it. `there()` says what is wrong, or ""."""

    name: str
    packages: tuple[str, ...]
    needed_by: str
    there: Callable[[], str]


def _program(*names: str) -> Callable[[], str]:
    return lambda: "" if any(shutil.which(n, path=_PATHS) for n in names) else f"{names[0]} is not on the PATH"


def java_version(text: str) -> int:
    """Major version in the output of `java -version`; 0 when there is none."""
    found = re.search(r'version "(?:1\.)?(\d+)', text)
    return int(found.group(1)) if found else 0


def _java() -> str:
    program = shutil.which("java", path=_PATHS)
    if program is None:
        return "java is not on the PATH"
    said = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=30).stderr
    return "" if java_version(said) >= 17 else f"java is too old: {said.splitlines()[0] if said else 'it says nothing'}"


TOOLS = (
    Tool("mosquitto", ("mosquitto",), "bridge, broker and demo tests (tests/integration, tests/chaos)", _program("mosquitto")),
    Tool("Java 17", ("openjdk-17-jre-headless",), "tests with a real Kafka (conformance of the log, tests/chaos)", _java),
    Tool("Maven", ("maven",), "fetching Kafka's jars for the tests with a real Kafka", _program("mvn")),
    Tool(
        "Chromium",
        ("chromium",),
        "tests of the live board in a browser",
        _program("chromium", "chromium-browser", "google-chrome"),
    ),
)


def missing(tools: Sequence[Tool] = TOOLS) -> list[tuple[Tool, str]]:
    """Tools that are not there, with what is wrong."""
    return [(tool, wrong) for tool in tools if (wrong := tool.there())]


def may_install() -> bool:
    """Whether we are root on a machine with apt."""
    return hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(packages: Sequence[str]) -> bool:
    """Install Debian packages; True when apt says it is done. Its last words go to stderr when it is not."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", *packages]):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
        if done.returncode != 0:
            print(f"system-tools: {' '.join(command)} failed: {done.stderr.strip()[-600:]}", file=sys.stderr)
            return False
    return True


def kafka_jars() -> str:
    """Fetch Kafka's jars once, so that no test waits for the network; what went wrong, or ""."""
    if importlib.util.find_spec("tests.support.kafka") is None:
        return ""
    from tests.support import kafka

    try:
        kafka.kafka_jars()
    except Exception as error:  # whatever Maven or the network says belongs into the one line
        return f"Kafka's jars cannot be fetched: {error}"
    return ""


def main() -> int:
    """Check, install what may be installed, check again, say what is missing."""
    gone = missing()
    if gone and may_install():
        packages = [package for tool, _ in gone for package in tool.packages]
        print(f"system-tools: installing {' '.join(packages)}", file=sys.stderr)
        install(packages)
        gone = missing()
    for tool, wrong in gone:
        print(
            f"system-tools: {tool.name} is missing ({wrong}); needed by: {tool.needed_by}; "
            f"install it, on Debian: apt-get install {' '.join(tool.packages)}",
            file=sys.stderr,
        )
    wrong = "" if any(tool.name in ("Java 17", "Maven") for tool, _ in gone) else kafka_jars()
    if wrong:
        print(f"system-tools: {wrong}; needed by: tests with a real Kafka", file=sys.stderr)
    return int(strict() and bool(gone or wrong))


if __name__ == "__main__":
    sys.exit(main())
