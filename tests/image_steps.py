"""Runs the build stage of the Dockerfile in a scratch folder, as far as that goes without containers: `make image-steps`.

COPY and RUN with `/opt/footstream` and `/src` moved below the folder, on this machine's Python 3.11. Not run: the base image,
the second stage. Prints the size of what the image would get, and the flows that its `footstream` knows.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def steps() -> list[tuple[str, str]]:
    """Instructions of the first stage, comments and continued lines undone."""
    text = re.sub(r"^#.*\n|\\\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    stage = text.split("\nFROM ")[0]
    return re.findall(r"^(COPY|RUN) (.*)$", stage, re.MULTILINE)


def build(folder: Path) -> Path:
    """The environment that the second stage copies. Raises CalledProcessError."""
    source, target = folder / "src", folder / "footstream"
    source.mkdir()
    for kind, words in steps():
        print(f"{kind} {words}", flush=True)
        if kind == "RUN":
            command = words.replace("/opt/footstream", str(target)).replace("python -m venv", f"{sys.executable} -m venv")
            command = re.sub(r"^python -m pip", f"{sys.executable} -m pip", command)
            subprocess.run(command, shell=True, cwd=source, check=True)
            continue
        *names, place = words.split()
        for name in names:
            if (ROOT / name).is_dir():
                shutil.copytree(
                    ROOT / name, source / place, ignore=shutil.ignore_patterns("__pycache__", "compose", "kubernetes")
                )
            else:
                shutil.copy(ROOT / name, source / place)
    return target


ENGINE = """
from pathlib import Path
from infra.store_engine import Engine
from river import stats, time_series
engine = Engine(Path("store"))
assert engine.query("SELECT 6 * 7", "CSV", "default", None, {}).strip() == b"42"
engine.close()
"""
"""What could miss a package that was left out: the store's engine, and the library behind two models of the forecast."""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="footstream-image-") as name:
        target = build(Path(name))
        said = subprocess.run(
            [target / "bin" / "footstream", "flows"], cwd=name, capture_output=True, text=True, check=True
        ).stdout
        subprocess.run([target / "bin" / "python", "-c", ENGINE], cwd=name, check=True)
        size = sum(p.stat().st_size for p in target.rglob("*") if p.is_file() and not p.is_symlink())
        print(f"{size / (1 << 20):.0f} MiB; flows: {', '.join(line.split(':')[0] for line in said.splitlines())}")


if __name__ == "__main__":
    main()
