"""Floor plans: a drawing (SVG) that somebody else made, reduced to shapes and words that can do nothing and load nothing.

What is not on the lists below is left out with everything inside it: scripts, styles, foreign content, links, images, `use`,
animation, every event handler, every reference. Ids get the prefix `plan-`, so that they never meet those of a page.
Names: W3C SVG 1.1.
"""

import re
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

MOST_BYTES = 1 << 20
MOST_ELEMENTS = 20_000
MOST_DEPTH = 64
PREFIX = "plan-"

_SVG = "http://www.w3.org/2000/svg"
_SHAPES = frozenset({"path", "rect", "circle", "ellipse", "line", "polyline", "polygon"})
_ELEMENTS = _SHAPES | {"svg", "g", "text", "tspan", "title", "desc"}
_WORDS = frozenset({"text", "tspan", "title", "desc"})
_PAINT = frozenset(
    re.findall(
        r"\S+",
        "fill fill-opacity fill-rule stroke stroke-width stroke-opacity stroke-dasharray stroke-linecap stroke-linejoin"
        " opacity font-size font-weight font-style text-anchor dominant-baseline",
    )
)
_PLACE = frozenset(re.findall(r"\S+", "d x y x1 y1 x2 y2 dx dy width height cx cy r rx ry points transform"))
_VALUE = re.compile(r"[\w\s.,#%()+-]*")
_ID = re.compile(r"[A-Za-z_][\w.-]{0,99}")
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)(?:px)?\s*")


class PlanError(ValueError):
    """The drawing cannot be used; the text says why and what to do."""


class Plan:
    """`svg`: the clean drawing as text. `ids`: of its shapes and groups, without the prefix."""

    def __init__(self, svg: str, ids: frozenset[str]) -> None:
        self.svg, self.ids = svg, ids


def clean_plan(svg: bytes) -> Plan:
    """The drawing as a plan. Raises PlanError."""
    if len(svg) > MOST_BYTES:
        raise PlanError(f"has {len(svg)} bytes; a plan may have {MOST_BYTES}, simplify the drawing")
    return _Cleaner().run(svg)


class _Cleaner:
    def __init__(self) -> None:
        self.out: list[str] = []
        self.ids: set[str] = set()
        self.open: list[str] = []
        self.skipped = 0
        self.count = 0

    def run(self, svg: bytes) -> Plan:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        try:
            parser.Parse(svg, True)
        except expat.ExpatError as error:
            raise PlanError(f"is not XML: {error}; export it as plain SVG") from None
        return Plan("".join(self.out), frozenset(self.ids))

    def _doctype(self, *_: object) -> None:
        raise PlanError("has a DOCTYPE; export it as plain SVG (Inkscape: Save as, Plain SVG)")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self.count += 1
        namespace, _, tag = name.rpartition(" ")
        if self.count > MOST_ELEMENTS or len(self.open) > MOST_DEPTH:
            raise PlanError(f"has more than {MOST_ELEMENTS} elements, or {MOST_DEPTH} inside each other; simplify the drawing")
        if not self.open and not self.skipped and (tag != "svg" or namespace not in ("", _SVG)):
            raise PlanError(f"begins with <{tag[:40]}>, not with <svg>; export it as plain SVG")
        if self.skipped or tag not in _ELEMENTS or namespace not in ("", _SVG):
            self.skipped += 1
            return
        kept = self._root(attributes) if not self.open else self._kept(tag, attributes)
        self.out.append(f"<{tag}" + "".join(f" {k}={quoteattr(v)}" for k, v in kept.items()) + ">")
        self.open.append(tag)

    def _root(self, attributes: dict[str, str]) -> dict[str, str]:
        """Only the size in user units: the page decides how large it is drawn."""
        box = attributes.get("viewBox", "")
        if not re.fullmatch(r"\s*-?[\d.]+(?:[\s,]+-?[\d.]+){3}\s*", box):
            size = [_SIZE.fullmatch(attributes.get(side, "")) for side in ("width", "height")]
            if size[0] is None or size[1] is None:
                raise PlanError('has no viewBox; add viewBox="0 0 WIDTH HEIGHT" to <svg>')
            box = f"0 0 {size[0][1]} {size[1][1]}"
        return {"xmlns": _SVG, "viewBox": box.strip()}

    def _kept(self, tag: str, attributes: dict[str, str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, value in [*attributes.items(), *_declarations(attributes.get("style", ""))]:
            if (name in _PLACE or name in _PAINT) and _VALUE.fullmatch(value) and "url" not in value.lower():
                found[name] = value
        given = attributes.get("id", "")
        if _ID.fullmatch(given) and given not in self.ids:
            found["id"] = PREFIX + given
            if tag in _SHAPES or tag == "g":
                self.ids.add(given)
        return found

    def _end(self, name: str) -> None:
        if self.skipped:
            self.skipped -= 1
            return
        self.out.append(f"</{self.open.pop()}>")

    def _text(self, text: str) -> None:
        if not self.skipped and self.open and self.open[-1] in _WORDS:
            self.out.append(escape(text))


def _declarations(style: str) -> list[tuple[str, str]]:
    """What an inline style says, as the attributes of the same names: a page's security policy forbids inline styles."""
    pairs = (part.partition(":") for part in style.split(";"))
    return [(name.strip(), value.strip()) for name, _, value in pairs if name.strip() in _PAINT]
