"""Whether a process has ended."""

import time
from pathlib import Path


def gone(pid: int, seconds: float = 5.0) -> bool:
    """True as soon as no such process runs any more (one that nobody has waited for has ended, too), False after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False
