"""Published sensor messages against the checked-in table of what they must decode to.

    python -m tests.bench.samples --data FOLDER

The folder holds one sub-folder per product with payload files. The messages themselves are not part of this repository; the
table `tests/golden/milesight_samples.json` names each file with the events, or the reasons of refusal, that were judged by hand
against the vendor's field descriptions. Prints each differing field and one JSON object; exit code 1 when
anything differs or is missing. `--write` writes the table anew from what is decoded now: read the difference before keeping it.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from infra.decode import lines

TABLE = Path(__file__).parent.parent / "golden" / "milesight_samples.json"
SUFFIXES = (".json", ".csv")

Line = dict[str, Any]


def decoded(payload: bytes, name: str) -> list[Line]:
    """What `footstream decode` prints, without file name, id and the detail of refusals; None is left out."""
    return [
        {
            key: value
            for key, value in json.loads(json.dumps(line)).items()
            if value is not None and key not in ("file", "event_id", "detail", "time_text")
        }
        for line in lines(payload, name)
    ]


def differences(expected: list[Line], found: list[Line]) -> list[str]:
    """Field by field, in order."""
    told = []
    for number in range(max(len(expected), len(found))):
        one, two = (side[number] if number < len(side) else {} for side in (expected, found))
        for key in sorted(one.keys() | two.keys()):
            if one.get(key) != two.get(key):
                told.append(f"line {number} {key}: expected {one.get(key)!r}, found {two.get(key)!r}")
    return told


def dump(table: dict[str, list[Line]]) -> str:
    """One line per event: short enough to be judged."""
    files = [
        f"{json.dumps(name)}: [\n  " + ",\n  ".join(json.dumps(line) for line in found) + "\n]"
        for name, found in sorted(table.items())
    ]
    return "{\n" + ",\n".join(files) + "\n}\n"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.samples", description="published messages against the table")
    parser.add_argument("--data", type=Path, required=True, help="folder of payload files")
    parser.add_argument("--write", action="store_true", help="write the table from what is decoded now")
    options = parser.parse_args(arguments)
    paths = {str(p.relative_to(options.data)): p for p in sorted(options.data.rglob("*")) if p.suffix in SUFFIXES}
    if not paths:
        print(
            f"samples: no payload files in {options.data}; give the folder that holds one sub-folder per product",
            file=sys.stderr,
        )
        return 1
    found = {name: decoded(path.read_bytes(), name) for name, path in paths.items()}
    if options.write:
        TABLE.write_text(dump(found))
    expected: dict[str, list[Line]] = json.loads(TABLE.read_text())
    told = [f"{name}: not in the table" for name in found.keys() - expected.keys()]
    told += [f"{name}: no such file" for name in expected.keys() - found.keys()]
    told += [f"{name}: {text}" for name in found.keys() & expected.keys() for text in differences(expected[name], found[name])]
    for text in sorted(told):
        print(text)
    events = sum("type" in line for side in found.values() for line in side)
    refused = sum(all("quarantine" in line for line in side) for side in found.values())
    print(json.dumps({"files": len(found), "events": events, "files_refused": refused, "differences": len(told)}))
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
