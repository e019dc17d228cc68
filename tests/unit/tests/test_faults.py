"""The table that `make chaos-full` writes."""

from pathlib import Path

from tests.chaos.faults import Fault, faults
from tests.chaos.full import HEAD, Outcome, write


def made(number: str, what: str, wrong: list[str]) -> Outcome:
    return Outcome(Fault(number, what, "all holds", lambda bench: None), wrong, {"drained_s": 2.5, "mib": {"lane": 90}}, 12.3)


def test_every_fault_can_be_told_from_the_others() -> None:
    found = faults()
    assert len({(f.number, f.what) for f in found}) == len(found)
    assert not any("|" in f.what + f.must for f in found)


def test_a_run_of_some_faults_writes_their_rows_and_keeps_the_others_and_the_text_above(tmp_path: Path) -> None:
    path = tmp_path / "faults.md"
    path.write_text("# Faults\n\nWords.\n\n" + HEAD + "\n")
    write(path, [made("F10", "b", []), made("F2", "a", ["lost | 3\nmessages"])], 4)
    write(path, [made("F2", "a", [])], 5)
    text = path.read_text()
    rows = [line for line in text.splitlines() if line.startswith("| F")]
    assert text.startswith("# Faults\n\nWords.\n\n" + HEAD + "\n|---")
    assert [row.split("|")[1].strip() for row in rows] == ["F2", "F10"]
    assert "holds" in rows[0] and "seed 5" in rows[0] and "drained s 2.5, mib lane 90" in rows[1] and "seed 4" in rows[1]
    write(path, [made("F2", "a", ["lost | 3\nmessages"])], 6)
    assert "FAILS: lost / 3 messages" in path.read_text()
