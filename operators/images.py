"""Takes images out of payloads before anything is stored, also out of broken ones. Pure functions of bytes.

What counts as an image: the value of a known key (`snapshot`, `image`, `img`, `picture`, `photo` and their kin), a data URI, a
run of base64 or hex over 2 kB (standard or url-safe alphabet, with escaped slashes, broken into lines or into an array of
lines), an array of byte values that begins like a JPEG or PNG, and a binary JPEG, PNG, GIF, WebP or BMP. Each is replaced by
`[image removed: N bytes]`; every other byte stays as it is, and JSON stays JSON.

All searches are linear; none of the patterns may go back (possessive, bounded), so hostile input costs no more than honest one.
"""

import json
import re
from collections.abc import Iterator
from hashlib import blake2b

SMALLEST = 256
"""Payloads below this many bytes are returned as they are: no picture of anything fits in them."""
RUN = 2000
"""Base64 or hex this long is taken for an image. LoRaWAN frames (242 bytes, 324 characters) stay far below."""
LARGEST = 256 * 1024
"""Payloads above this many bytes are oversize: only their head and hash are kept."""
HEAD = 4096
"""Bytes of an oversize payload that are kept."""

_PIECE = 48  # shortest part of a run that is broken into lines; the usual line lengths are 60, 64 and 76
_EXACT_LEAST, _OTHER_LEAST = 32, 64  # characters of a value under a known key, and under one that merely has the word in it
_MOST = 400  # keys, brackets, data URIs that are looked at in one payload: bounds the time that a hostile one costs
_WORDS = (b"snap", b"image", b"img", b"pic", b"photo")
_KEY_END = re.compile(rb'[\w. -]{0,32}+(\\{0,3})"\s{0,64}+:\s{0,64}+')
_EXACT = re.compile(
    rb"(?:device|camera|cam|raw|jpe?g|png|face|person|base64|b64|full)?"
    rb"(?:snap|snapshot|image|img|picture|pic|photo)s?"
    rb"(?:data|base64|b64|content|file|bytes|body|raw|jpe?g|png|str|string|buffer)?\d*"
)
_MARK = re.compile(rb"\[image removed: \d+ bytes\]")
_URI = re.compile(rb"data:([a-z]{0,20})\\{0,3}/?[\w.+=;\\/-]{0,120}+,")
_URI_BODY = re.compile(rb'[^"\s<>]*+')
_BETWEEN = re.compile(rb'\\?"\s*+,\s*+\\?"')
_LAST_LINE = re.compile(rb'\\?"\s{0,100}+,\s{0,100}+\\?"([\w+/=-]{1,48})(?=\\?")')
_NUMBERS = re.compile(rb"-?\d{1,3}(?:\s{0,40}+,\s{0,40}+-?\d{1,3}){47,}+")
_SIGNATURES = tuple(  # how JPEG and PNG begin, as byte values without and with sign
    (values[1], re.compile(rb"\s{0,40}+,\s{0,40}+".join(values) + rb"\b"))
    for values in ((b"255", b"216"), (b"-1", b"-40"), (b"137", b"80", b"78"), (b"-119", b"80", b"78"))
)
_TEXTS = (b"\xc3\xbf\xc3\x98\xc3\xbf", b"\xc2\x89PNG", b"\\u00ff\\u00d8\\u00ff", b"\\u0089png")  # the same as characters
_NUMBER = re.compile(rb"[-+0-9eE\s]*+")
_BRACKET = re.compile(rb'["\[\]{}]')

# Everything a broken-up base64 or hex text may hold, escapes, line ends and the zero bytes of UTF-16 included.
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_=-"
_FILLER = b"\\%\r\n\t \x00"
_CLASS = bytes(ord("a") if c in _ALPHABET + _FILLER else ord(" ") for c in range(256))
_HEX = b"0123456789abcdefABCDEF"

Cut = tuple[int, int, bytes]  # start, end, what comes instead


def _mark(size: int) -> bytes:
    return b"[image removed: %d bytes]" % size


def strip(payload: bytes) -> tuple[bytes, int]:
    """The payload without images, and how many were removed. Stripping twice changes nothing more.

    An oversize payload (above LARGEST) becomes the JSON object `{"oversize": {"size": bytes, "blake2b": hex of 16 bytes},
    "head": text}` with the first 4 kB of what was left after stripping.
    """
    size = len(payload)
    if size < SMALLEST:
        return payload, 0
    if size > LARGEST:
        return _oversize(payload)
    lower = payload.lower()
    named = b"snap" in lower or b"image" in lower or b"img" in lower or b"pic" in lower or b"photo" in lower
    if size < RUN and not named and payload[0] in b"{[":
        return payload, 0
    return _apply(
        payload, _merged(payload, [*_binary(payload), *(_named(payload, lower) if named else ()), *_unnamed(payload, lower)])
    )


def _oversize(payload: bytes) -> tuple[bytes, int]:
    head = payload[: LARGEST - 1]
    # An image cut in two would leave a tail too short to be recognised: a run that reaches the cut goes altogether.
    kept = head.rstrip(_ALPHABET + _FILLER)
    tail = head[len(kept) :]
    cuts = [(len(kept), len(head), _mark(len(tail)))] if len(tail) >= _PIECE and _is_image(tail) else []
    text, images = strip(_apply(head, cuts)[0])
    said = {"size": len(payload), "blake2b": blake2b(payload, digest_size=16).hexdigest()}
    return json.dumps({"oversize": said, "head": text[:HEAD].decode(errors="replace")}).encode(), images + len(cuts)


def _apply(payload: bytes, cuts: list[Cut]) -> tuple[bytes, int]:
    if not cuts:
        return payload, 0
    parts: list[bytes] = []
    at = 0
    for start, end, instead in cuts:
        parts += (payload[at:start], instead)
        at = end
    parts.append(payload[at:])
    return b"".join(parts), sum(1 for cut in cuts if cut[2])


def _merged(payload: bytes, cuts: list[Cut]) -> list[Cut]:
    """Cuts in order; those that overlap become one."""
    result: list[Cut] = []
    for start, end, instead in sorted(cuts):
        if result and start < result[-1][1]:
            first = result[-1]
            whole = max(end, first[1])
            result[-1] = first if whole == first[1] else (first[0], whole, _mark(whole - first[0]))
        else:
            result.append((start, end, instead))
    return result


def _binary(payload: bytes) -> Iterator[Cut]:
    """A picture as it is, alone or inside something else (multipart bodies)."""
    whole = payload[:4] in (b"GIF8", b"RIFF") or (payload[:2] == b"BM" and payload[6:10] == bytes(4))
    if whole:
        yield 0, len(payload), _mark(len(payload))
        return
    for first, last in ((b"\xff\xd8\xff", b"\xff\xd9"), (b"\x89PNG\r\n", b"IEND\xaeB`\x82")):
        start = payload.find(first)
        if start >= 0:
            end = payload.rfind(last, start)
            end = len(payload) if end < 0 else end + len(last)
            yield start, end, _mark(end - start)


def _even(payload: bytes, start: int, end: int) -> int:
    """`end`, or one less when it would part a backslash from what it escapes."""
    if payload[end - 1] != 92:
        return end
    slashes = end - start - len(payload[start:end].rstrip(b"\\"))
    return end - slashes % 2


# -- values of known keys


def _masked(payload: bytes) -> bytes:
    """Escaped pairs blotted out, so that the next quote is a real one. Same length, so positions stay."""
    return payload.replace(b"\\\\", b"__").replace(b'\\"', b"__")


def _until_quote(masked: bytes, start: int) -> int:
    end = masked.find(b'"', start)
    return len(masked) if end < 0 else end


def _found_words(lower: bytes) -> list[tuple[int, int]]:
    """Where the telling words stand, in order, as (start, end)."""
    found: list[tuple[int, int]] = []
    for word in _WORDS:
        at = lower.find(word)
        while at >= 0 and len(found) < _MOST * len(_WORDS):
            if word != b"pic" or lower.startswith(b"pict", at) or not lower[at - 1 : at].isalpha():  # not "topic"
                found.append((at, at + len(word)))
            at = lower.find(word, at + len(word))
    return sorted(found)[:_MOST]


def _named(payload: bytes, lower: bytes) -> list[Cut]:
    masked = _masked(payload)
    cuts: list[Cut] = []
    at, budget = 0, _MOST
    for start, end in _found_words(lower):
        found = _KEY_END.match(lower, end) if start >= at else None
        if found is None:
            continue
        at = found.end()
        least = _EXACT_LEAST if _is_exact(lower, start, found.end()) else _OTHER_LEAST
        if found[1] and payload.startswith(found[1] + b'"', at):
            at = _nested_value(payload, masked, found, least, cuts)
        elif payload.startswith(b'"', at):
            at = _text(payload, at + 1, _until_quote(masked, at + 1), least, cuts)
        elif payload.startswith((b"[", b"{"), at):
            at, budget = _container(payload, masked, at, budget, cuts)
    return cuts


def _is_exact(lower: bytes, start: int, end: int) -> bool:
    opening = lower.rfind(b'"', max(0, start - 26), start) + 1
    key = lower[opening:end].partition(b'"')[0]
    return _EXACT.fullmatch(key.translate(None, b"_-. \\")) is not None


def _nested_value(payload: bytes, masked: bytes, found: "re.Match[bytes]", least: int, cuts: list[Cut]) -> int:
    """A value in JSON that is itself a text of the outer JSON: its quotes are escaped."""
    quote = found[1] + b'"'
    start = found.end() + len(quote)
    outer = _until_quote(masked, start)
    end = payload.find(quote, start, outer)
    return _text(payload, start, outer if end < 0 else end, least, cuts)


def _text(payload: bytes, start: int, end: int, least: int, cuts: list[Cut]) -> int:
    if end - start >= least and _MARK.fullmatch(payload, start, end) is None:
        cuts.append((start, end, _mark(end - start)))
    return end


def _container(payload: bytes, masked: bytes, at: int, budget: int, cuts: list[Cut]) -> tuple[int, int]:
    """Long texts and long rows of numbers anywhere inside the array or object that begins here; returns where it ends.

    `budget` bounds the brackets and texts that are looked at in one payload.
    """
    depth, start = 0, at
    while budget > 0 and (found := _BRACKET.search(masked, at)) is not None:
        budget -= 1
        at = found.end()
        if found[0] == b'"':
            at = _text(payload, at, _until_quote(masked, at), _PIECE, cuts) + 1
        else:
            depth += 1 if found[0] in b"[{" else -1
            if depth == 0:
                break
    for numbers in _NUMBERS.finditer(payload, start, at):
        cuts.append((numbers.start(), numbers.end(), b'"%s"' % _mark(numbers.end() - numbers.start())))
    return at, budget


# -- images without a telling key


def _unnamed(payload: bytes, lower: bytes) -> Iterator[Cut]:
    yield from _runs(payload)
    if b"data:" in lower:
        yield from _uris(payload, lower)
    for second, signature in _SIGNATURES:
        if second in payload:
            yield from _byte_arrays(payload, signature)
    for sign in _TEXTS:
        start = (lower if sign[0] == 92 else payload).find(sign)
        if start >= 0:
            end = _until_quote(_masked(payload), start)
            yield start, end, _mark(end - start)


def _runs(payload: bytes) -> Iterator[Cut]:
    """Stretches of characters that base64 may hold; lines with only `", "` between them are one."""
    flat = payload.translate(_CLASS)
    needle, first, end, groups = b"a" * _PIECE, -1, 0, 0
    usual = b'","'
    while (start := flat.find(needle, end)) >= 0:
        gap = payload[end:start] if start - end < 200 else b""
        if gap != usual and _BETWEEN.fullmatch(gap) is not None:
            usual = gap
        if first < 0 or gap != usual:
            yield from _run(payload, first, end)
            first, groups = start, groups + 1
            needle = needle if groups < _MOST else b"a" * RUN
        end = flat.find(b" ", start)
        end = len(flat) if end < 0 else end
    yield from _run(payload, first, end)


def _run(payload: bytes, start: int, end: int) -> Iterator[Cut]:
    if end - start < RUN or start < 0:
        return
    end = _even(payload, start, end)
    run = payload[start:end]
    if b'"' in run and (last := _LAST_LINE.match(payload, end)) is not None:
        end = last.end(1)
    if _is_image(run):
        yield start, end, _mark(end - start)


def _is_image(run: bytes) -> bool:
    """Base64 or hex, and not a number, white space or prose without punctuation."""
    blank = len(run) - len(run.translate(None, b" \t"))
    core = run.translate(None, _FILLER + b'",')
    if _NUMBER.fullmatch(core) or 3 * len(core) < len(run) - blank:
        return False
    return 20 * blank <= len(run) or not core.translate(None, _HEX)


def _uris(payload: bytes, lower: bytes) -> Iterator[Cut]:
    at = 0
    for _ in range(_MOST):
        start = lower.find(b"data:", at)
        if start < 0:
            return
        at = start + 5
        found = _URI.match(lower, start)
        if found is None:
            continue
        body = _URI_BODY.match(payload, found.end())
        at = _even(payload, start, body.end() if body else found.end())
        size = at - start
        if size >= RUN or (found[1] in (b"image", b"video") and size >= _OTHER_LEAST):
            yield start, at, _mark(size)
        at = max(at, found.end())


def _byte_arrays(payload: bytes, signature: "re.Pattern[bytes]") -> Iterator[Cut]:
    at = 0
    for _ in range(_MOST):
        found = signature.search(payload, at)
        if found is None:
            return
        numbers = _NUMBERS.match(payload, found.start())
        at = numbers.end() if numbers else found.end()
        if numbers:
            yield numbers.start(), at, b'"%s"' % _mark(at - numbers.start())
