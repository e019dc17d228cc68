"""Fuzzing of all decoders: mutated samples and arbitrary bytes.

    python -m tests.fuzz [--cases 1000000] [--seed N] [--seconds S]

Prints the seed first and its progress every 10 seconds. A case is a message for `decode` or a bare LoRaWAN frame. It fails when
a decoder raises, breaks a promise (a reason for what is refused, counts within bounds), or takes more than 10 ms of the
processor; a case that took long is measured again, several times, because other programs share the machine. Exit code 1, with
the first failing cases as Python literals. The last line is one JSON object: cases, failures, longest case in ms and its size.
"""

import argparse
import base64
import json
import random
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from schemas.events import DwellSummary, FlowMatrix, LineCount, Report, Stay, ZoneCount
from schemas.sensors import MAX_BYTES, SENSORS, decode, decode_frame

LIMIT_S = 0.010
AGAIN = 7
"""Measurements of a case that took long; the best counts."""
SHOWN = 10
COUNT_MOST = 2**32 - 1
WORDS: tuple[bytes, ...] = (
    b"null", b"true", b"-1", b"1e400", b"1e-7", b"NaN", b'"', b"{", b"}", b"[", b"]", b",", b":", b"[]", b"{}", b"\\ud800",
    b"\\u0000", b"18446744073709551616", b"-9223372036854775809", b"9" * 40, b"\xff", b"\xc3\xbc", b"\xef\xbb\xbf", b"\r\n",
    b"\n", b"#camera ", b"StartTime, EndTime, ", b"devEUI", b"data", b"time", b"line_1_period_in", b"region_0", b"history",
    b"query", b"body", b"2026-03-02T09:01:00+01:00", b"0001-01-01T00:00:00", b"9999/12/31 23:59:59", b"UTC+99:99",
    b"Europe/Berlin", b"../../etc",
)  # fmt: skip


class Case(NamedTuple):
    """`frame`: a bare LoRaWAN frame instead of a message."""

    payload: bytes
    frame: bool


class Worst(NamedTuple):
    seconds: float
    case: Case


def read(case: Case) -> list[Report]:
    return decode_frame(case.payload, "24e1") if case.frame else decode(case.payload)


def broken(reports: list[Report]) -> str:
    """Which promise the reports break; empty when they keep them all."""
    if not reports:
        return "no report"
    for report in reports:
        if not report.events and not report.refusals:
            return "nothing comes out without a reason"
        if any(refusal.reason == "decoder_error" for refusal in report.refusals):
            return f"the decoder raised {report.refusals[0].detail}"
        for event in report.events:
            if not all(0 <= count <= COUNT_MOST for count in _counts(event)):
                return f"a count out of bounds: {event!r}"
    return ""


def _counts(event: object) -> list[float]:
    match event:
        case LineCount():
            found = [event.people_in, event.people_out, event.child_in, event.child_out, event.staff_in, event.staff_out]
        case ZoneCount():
            found = [event.present, event.peak, event.child, event.staff]
        case Stay():
            return [event.dwell_s]
        case DwellSummary():
            return [event.avg_s, event.max_s]
        case FlowMatrix():
            found = [*event.cells.values()]
        case _:
            return []
    return [count for count in found if count is not None]


class Maker:
    """Cases, one after the other, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.messages = [s.payload for m in SENSORS if not hasattr(m, "LAYOUT") for s in m.SAMPLES]
        self.frames = [s.payload for m in SENSORS if hasattr(m, "LAYOUT") for s in m.SAMPLES]
        self.channels = [
            (key.to_bytes(2, "big"), size)
            for m in SENSORS
            if hasattr(m, "LAYOUT")
            for key, (size, _) in m.LAYOUT.channels.items()
        ]
        makers = (self.mutated, self.crossed, self.odd_values, self.frame, self.wrapped, self.noise, self.grown)
        self.makers: tuple[Callable[[], Case], ...] = makers
        self.weights = (40, 10, 15, 15, 12, 6, 2)

    def case(self) -> Case:
        (make,) = self.rng.choices(self.makers, self.weights)
        return make()

    def mutated(self) -> Case:
        """A message with some bytes replaced, removed or put in."""
        return Case(self._damaged(self.rng.choice(self.messages), 8), False)

    def crossed(self) -> Case:
        """The head of one message and the tail of another."""
        one, two = self.rng.choice(self.messages), self.rng.choice(self.messages)
        return Case(one[: self.rng.randrange(len(one) + 1)] + two[self.rng.randrange(len(two) + 1) :], False)

    def odd_values(self) -> Case:
        """Well-formed JSON with odd values and keys at some places."""
        payload = self.rng.choice(self.messages)
        try:
            message = json.loads(payload)
        except ValueError:
            return Case(self._damaged(payload, 3), False)
        for _ in range(self.rng.randint(1, 4)):
            node = message
            while isinstance(node, dict | list) and node:
                key = self.rng.choice(list(node)) if isinstance(node, dict) else self.rng.randrange(len(node))
                if not isinstance(node[key], dict | list) or self.rng.random() < 0.3:
                    node[key] = self._value(2)
                    break
                node = node[key]
        return Case(json.dumps(message, ensure_ascii=False).encode("utf-8", "surrogatepass"), False)

    def frame(self) -> Case:
        """A frame of channels that exist, with any values; or a sample, damaged."""
        return Case(self._frame(), True)

    def wrapped(self) -> Case:
        """Such a frame in one of the envelopes."""
        data = base64.b64encode(self._frame()).decode()
        eui, count, at = f"24e1{self.rng.randrange(1 << 48):012x}", self.rng.randrange(70_000), "2026-03-02T09:01:00Z"
        info = {"devEui": eui, "deviceName": "d", "deviceProfileName": "VS121"}
        inner = {"frm_payload": data, "f_cnt": count, "received_at": at}
        message: dict[str, object] = self.rng.choice(
            [
                {"devEUI": eui, "data": data, "fCnt": count, "time": at, "deviceName": "door"},
                {"deviceInfo": info, "data": data, "fCnt": count, "time": at},
                {"end_device_ids": {"dev_eui": eui, "device_id": "d"}, "uplink_message": inner},
            ]
        )
        payload = json.dumps(message).encode()
        return Case(self._damaged(payload, 2) if self.rng.random() < 0.3 else payload, False)

    def noise(self) -> Case:
        """Arbitrary bytes, also after the beginning of a message."""
        head = self.rng.choice(self.messages)[: self.rng.randrange(80)] if self.rng.random() < 0.5 else b""
        return Case(head + self.rng.randbytes(self.rng.randrange(400)), self.rng.random() < 0.2)

    def grown(self) -> Case:
        """A message up to the largest that is read: arrays of messages, long lists, long texts, deep nesting."""
        most = self.rng.choice([4_000, 30_000, MAX_BYTES])
        sample = self._damaged(self.rng.choice(self.messages), 1)
        unit = self.rng.choice(
            [sample + b",", b"[", b'{"a":', self.rng.choice(WORDS) + b",", b'{"line":1,"in":1,"out":2},', self.rng.randbytes(3)]
        )
        body = unit * (most // max(1, len(unit)))
        if self.rng.random() < 0.5:
            at = self.rng.randrange(len(sample) + 1)
            return Case((sample[:at] + body + sample[at:])[:MAX_BYTES], False)
        return Case((b"[" + body[:-1] + b"]")[:MAX_BYTES], False)

    def _frame(self) -> bytes:
        if self.rng.random() < 0.4:
            return self._damaged(self.rng.choice(self.frames), 3)
        parts = [key + self.rng.randbytes(size) for key, size in self.rng.choices(self.channels, k=self.rng.randint(1, 8))]
        return b"".join(parts)[: self.rng.choice([20, 60, 242, 300])]

    def _damaged(self, payload: bytes, most: int) -> bytes:
        found = bytearray(payload)
        for _ in range(self.rng.randint(1, most)):
            at, end = self.rng.randrange(len(found) + 1), self.rng.choice([0, 0, 1, 1, 2, 5, 40])
            put = self.rng.choice([b"", self.rng.choice(WORDS), self.rng.randbytes(self.rng.randint(1, 4))])
            found[at : at + end] = put
        return bytes(found)

    def _value(self, depth: int) -> object:
        rng = self.rng
        if depth and rng.random() < 0.25:
            return [self._value(depth - 1) for _ in range(rng.randrange(4))]
        if depth and rng.random() < 0.25:
            keys = ["in", "line", "total", "x", "value", "body"]
            return {rng.choice(keys): self._value(depth - 1) for _ in range(rng.randrange(4))}
        plain = [None, True, False, 2**31, 2**32, 2**63, -(2**70), 0.5, -1.0, 1e300, 7.0, "", "x", "x" * 200]
        return rng.choice([*plain, rng.randint(-3, 70_000), rng.choice(WORDS).decode("utf-8", "replace")])


def _seconds(case: Case) -> float:
    began = time.thread_time()
    read(case)
    return time.thread_time() - began


def run(
    cases: int, seed: int, seconds: float = float("inf"), say: Callable[[str], None] = lambda line: None
) -> tuple[int, list[str], Worst]:
    """Cases done, what failed (the first few), and the case that took longest."""
    maker = Maker(seed)
    failed: list[str] = []
    worst = Worst(0.0, Case(b"", False))
    began = told = time.monotonic()
    done = 0
    while done < cases:
        case = maker.case()
        done += 1
        start = time.thread_time()
        try:
            wrong = broken(read(case))
        except Exception as error:
            wrong = f"raised {error!r}"
        took = time.thread_time() - start
        if took > max(worst.seconds, LIMIT_S / 4):
            took = min(took, *(_seconds(case) for _ in range(AGAIN)))
            if took > worst.seconds:
                worst = Worst(took, case)
            if took > LIMIT_S:
                wrong = wrong or f"took {took * 1000:.1f} ms"
        if wrong and len(failed) < SHOWN:
            failed.append(f"{wrong}: {case.payload[:2000]!r}{'…' if len(case.payload) > 2000 else ''} frame={case.frame}")
        now = time.monotonic()
        if now - told >= 10:
            told = now
            say(f"{done} cases, {len(failed)} failures, longest {worst.seconds * 1000:.2f} ms")
        if now - began > seconds:
            break
    return done, failed, worst


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description="mutated samples and arbitrary bytes for all decoders"
    )
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    options = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    done, failed, worst = run(options.cases, seed, options.seconds, lambda line: print(line, flush=True))
    for line in failed:
        print(line)
    size = len(worst.case.payload)
    print(
        json.dumps(
            {
                "cases": done,
                "failures": len(failed),
                "longest_ms": round(worst.seconds * 1000, 2),
                "longest_bytes": size,
                "seed": seed,
            }
        )
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
