"""`footstream size` and its page: the arithmetic by hand, the page as the program prints it."""

import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from infra.commands import size as command
from infra.sizing import Chain, Measured, first_to_give, size

PAGE = Path(__file__).parents[3] / "docs" / "sizing.md"


def test_a_chain_is_computed_as_by_hand() -> None:
    found = size(Chain(60, devices=1, lines=1, interval_s=1, retention_days=1, replicas=1), Measured(cpu_all_us=10_000))
    assert (found.messages_per_s, found.cores, found.lanes) == (60, 0.6, 2)
    assert found.log_gib == pytest.approx(60 * 722 * 86_400 / 2**30)
    assert found.store_gib_month["observations"] == pytest.approx(60 * 86_400 * 28.2 * 30.4 / 2**30)
    assert found.store_gib_month["minutes"] == pytest.approx(60 * 1440 * (5.7 + 6.2) * 30.4 / 2**30)


def test_the_fullest_part_gives_first() -> None:
    assert first_to_give(size(Chain(100_000)))[0][0] == "store disk"
    assert first_to_give(size(Chain(1)))[0][0] == "lanes"


def test_a_chain_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        size(Chain(0))


@pytest.mark.parametrize("stores", ["10000", "100000"])
def test_the_page_shows_what_the_program_prints(stores: str) -> None:
    app = typer.Typer()
    command.register(app)
    said = CliRunner().invoke(app, ["--stores", stores])
    assert said.exit_code == 0 and f"```\n{said.output}```" in PAGE.read_text()


def test_the_page_names_the_figures_that_the_program_starts_from() -> None:
    text, m = PAGE.read_text(), Measured()
    for figure in (m.cpu_traffic_us, m.cpu_all_us, m.lane_mib, m.message_bytes, m.observation_row, m.occupancy_row):
        assert re.search(rf"\b{figure:g}\b", text), figure
