"""`make chaos`: the ledger through both logs, then the kills on both logs. `ARGS="--seed N --size mini|full"`."""

import argparse
import sys
import time
from collections.abc import Sequence

from tests.chaos import kills, ledger, upkeep


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="tests.chaos")
    parser.add_argument("--size", default="full", help="mini or full")
    parser.add_argument("--seed", default=str(int(time.time())))
    given = parser.parse_args(words)
    both = ["--size", given.size, "--seed", given.seed]
    return max(ledger.main(both), kills.main(both), upkeep.main(both))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
