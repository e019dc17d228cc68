"""`footstream …` by a clock that is wrong: `python -m tests.support.shifted_clock SECONDS run all …`. Monotonic time stays."""

import sys
import time


def main() -> None:
    seconds, *words = sys.argv[1:]
    real, real_ns, shift = time.time, time.time_ns, float(seconds)
    time.time = lambda: real() + shift
    time.time_ns = lambda: real_ns() + int(shift * 1e9)
    sys.argv = [sys.argv[0], *words]
    from infra.cli import main as cli

    cli()


if __name__ == "__main__":
    main()
