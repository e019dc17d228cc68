"""The documents say what the program does: commands, settings, tables and links are there, the examples run."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import promql_parser
import pytest
import typer
import yaml
from typer.core import TyperGroup

from infra.cli import _register, app
from infra.settings import Settings
from schemas.rows import TABLES
from schemas.sensors import SENSORS

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
FOLDERS = ("schemas", "connectors", "operators", "flows", "infra", "dashboards", "tests")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_EXAMPLE = re.compile(r"^`([a-z_/]+\.py)`:\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def commands() -> Iterator[str]:
    """Every command of the program, those of groups as `boards render`."""
    if not app.registered_commands:
        _register()
    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    for name, command in root.commands.items():
        if isinstance(command, TyperGroup):
            yield from (f"{name} {part}" for part in command.commands)
        else:
            yield name


def test_every_command_stands_in_the_readme() -> None:
    readme = text("README.md")
    missing = [c for c in commands() if not re.search(rf"`footstream {c}\b", readme)]
    assert not missing


def test_the_readme_names_no_command_that_does_not_exist() -> None:
    known = set(commands()) | {c.split()[0] for c in commands()}
    named = {word for page in PAGES for word in re.findall(r"footstream ([a-z]+)\b", _code(page.read_text(encoding="utf-8")))}
    assert named <= known, named - known


def _code(page: str) -> str:
    """Only what stands in back-quotes."""
    return "\n".join(re.findall(r"`[^`\n]+`", page))


def test_the_page_of_settings_is_what_the_settings_say() -> None:
    rows = re.findall(r"^\| `FOOTSTREAM_([A-Z0-9_]+)` \| (.*?) \| (.*) \|$", text("docs/settings.md"), re.MULTILINE)
    wanted = []
    for f in fields(Settings):
        default = "" if f.default in (None, "") else "(secret)" if f.metadata["secret"] else f"`{f.default}`"
        wanted.append((f.metadata["env"], default, f.metadata["help"]))
    assert rows == wanted


def test_every_dialect_is_described() -> None:
    page = text("docs/sensors.md")
    assert [module.DIALECT for module in SENSORS if f"`{module.DIALECT}`" not in page] == []


def test_every_table_is_described() -> None:
    described = text("docs/architecture.md") + text("docs/analysts.md")
    missing = [name for name in TABLES if f"`{name}`" not in described]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_to_files_that_exist(page: Path) -> None:
    links = [link.partition("#")[0] for link in _LINK.findall(page.read_text(encoding="utf-8"))]
    gone = [link for link in links if link and "://" not in link and not (page.parent / link).exists()]
    assert not gone


def test_links_to_headings_lead_to_headings() -> None:
    for page in PAGES:
        for link in _LINK.findall(page.read_text(encoding="utf-8")):
            name, mark, heading = link.partition("#")
            if not mark or "://" in link:
                continue
            target = page if not name else page.parent / name
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^a-z0-9 _-]", "", h.lower()).replace(" ", "-") for h in headings}
            assert heading in slugs, f"{page.name}: {link}"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree with the examples of CONTRIBUTING.md written into it."""
    folder = tmp_path_factory.mktemp("tree")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for path, code in _EXAMPLE.findall(text("CONTRIBUTING.md")):
        assert not (folder / path).exists()
        (folder / path).write_text(code, encoding="utf-8")
    return folder


def run(folder: Path, *words: str) -> str:
    """Output of a python that takes its modules from there."""
    done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_example_of_a_sensor_passes_its_conformance_suite(copy: Path) -> None:
    quick = "(samples_decode or says_what_it_is or ids_are or cut_anywhere or byte_order) and acme_door"
    run(copy, "-m", "pytest", "tests/conformance/test_sensors.py", "-p", "no:cacheprovider", "-k", quick)
    assert "acme_door" in run(copy, "-m", "infra", "sensors")


def test_the_example_of_a_flow_passes_its_conformance_suite_and_its_table_can_be_made(copy: Path) -> None:
    run(copy, "-m", "pytest", "tests/conformance/test_flows.py", "-p", "no:cacheprovider", "-k", "first_entries")
    assert "writes first_entries" in run(copy, "-m", "infra", "flows")
    ddl = "import infra.migrate as m; m.discovered(); from infra.ddl import create_table; from schemas.rows import TABLES"
    assert "first_entries_rows" in run(copy, "-c", f"{ddl}; print(create_table(TABLES['first_entries'], None))")


def test_every_alarm_of_ours_has_its_section_in_the_runbook_and_no_section_is_without_alarm() -> None:
    groups = yaml.safe_load(text("infra/prometheus/footstream.rules.yml"))["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    sections = re.findall(r"^### (.*)$", text("docs/runbook.md"), re.MULTILINE)
    assert [rule["alert"] for rule in rules] == sections
    for rule in rules:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("page", "ticket") and rule["annotations"]["summary"]
        promql_parser.parse(rule["expr"])
