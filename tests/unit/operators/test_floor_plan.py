"""Floor plans from anywhere: nothing that acts or loads is left, shapes and their ids are."""

import random
import re

import pytest

from operators.floor_plan import MOST_BYTES, PlanError, clean_plan

HEAD = b'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 10 10">'


def svg(inside: str) -> str:
    return (
        clean_plan(HEAD + inside.encode() + b"</svg>")
        .svg.removeprefix('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10">')
        .removesuffix("</svg>")
    )


def test_shapes_groups_and_words_stay_as_they_are_drawn() -> None:
    rect = '<rect id="z1" x="1" y="2" width="3" height="4" fill="#ccc"/>'
    drawn = f'<g id="floor" transform="translate(1,2)">{rect}<text>A &amp; B</text></g>'
    plan = clean_plan(HEAD + drawn.encode() + b"</svg>")
    assert plan.ids == {"floor", "z1"}
    assert '<rect x="1" y="2" width="3" height="4" fill="#ccc" id="plan-z1"></rect><text>A &amp; B</text>' in plan.svg


@pytest.mark.parametrize(
    "bad",
    [
        "<script>alert(1)</script>",
        "<foreignObject><body xmlns='http://www.w3.org/1999/xhtml'><img src='x' onerror='alert(1)'/></body></foreignObject>",
        "<style>@import url(http://a.example/x.css)</style>",
        "<image xlink:href='http://a.example/x.png'/>",
        "<use href='#z1'/>",
        "<a href='javascript:alert(1)'><rect width='1' height='1'/></a>",
        "<animate attributeName='href' values='javascript:alert(1)'/>",
        "<set attributeName='onload' to='alert(1)'/>",
        "<h:iframe xmlns:h='http://www.w3.org/1999/xhtml' src='x'/>",
        "<g:script xmlns:g='http://www.w3.org/2000/svg'>alert(1)</g:script>",
        "<?xml-stylesheet href='http://a.example/x.css'?><!-- <script>x</script> -->",
    ],
)
def test_what_acts_or_loads_is_left_out_with_everything_inside(bad: str) -> None:
    assert svg(bad) == ""


@pytest.mark.parametrize(
    ("attribute", "left"),
    [
        ("onclick='alert(1)'", ""),
        ("fill='url(http://a.example/#x)'", ""),
        ("fill='URL(#x)'", ""),
        ("style='fill:red;background:url(x);behavior:url(y)'", ' fill="red"'),
        ("href='#x' xlink:href='#x' class='c' data-x='1'", ""),
        ("id='a b&quot;&gt;'", ""),
        ("fill='expression(alert(1));'", ""),
    ],
)
def test_attributes_that_act_load_or_break_out_are_left_out(attribute: str, left: str) -> None:
    assert svg(f"<rect {attribute}/>") == f"<rect{left}></rect>"


def test_an_id_stands_once_and_never_meets_one_of_a_page() -> None:
    assert svg('<rect id="main"/><rect id="main"/>') == '<rect id="plan-main"></rect><rect></rect>'


@pytest.mark.parametrize(
    ("drawing", "says"),
    [
        (b"<svg", "not XML"),
        (b"", "not XML"),
        (b"<html/>", "begins with <html>"),
        (b'<!DOCTYPE svg [<!ENTITY a "b">]><svg viewBox="0 0 1 1"/>', "DOCTYPE"),
        (b"<svg/>", "no viewBox"),
        (b"<svg viewBox='0 0 1 1'>" + b"<g>" * 100 + b"</g>" * 100 + b"</svg>", "inside each other"),
        (b"<svg viewBox='0 0 1 1'>" + b"<g/>" * 20_001 + b"</svg>", "20000 elements"),
        (b" " * (MOST_BYTES + 1), "bytes"),
    ],
)
def test_a_drawing_that_cannot_be_used_says_why(drawing: bytes, says: str) -> None:
    with pytest.raises(PlanError, match=says):
        clean_plan(drawing)


def test_a_size_in_pixels_serves_as_a_view_box() -> None:
    assert 'viewBox="0 0 300 200.5"' in clean_plan(b"<svg width='300px' height='200.5'/>").svg


@pytest.mark.parametrize("seed", range(20))
def test_however_a_drawing_is_damaged_nothing_but_the_listed_comes_out(seed: int) -> None:
    rng = random.Random(seed)
    pieces = [
        b"<rect ",
        b"<script>",
        b"</script>",
        b"onload='x'",
        b"/>",
        b">",
        b"<g id='a'>",
        b"</g>",
        b"&#60;",
        b"text",
        b"<text>",
        b"</text>",
    ]
    for _ in range(300):
        middle = b"".join(rng.choice(pieces) for _ in range(rng.randint(1, 8)))
        try:
            found = clean_plan(HEAD + middle + b"</svg>").svg
        except PlanError:
            continue
        tags = re.findall(r"<(\w+)([^>]*)>", found)
        assert {tag for tag, _ in tags} <= {"svg", "g", "rect", "text"}, f"seed {seed}: {middle!r}"
        assert not any("onload" in attributes for _, attributes in tags), f"seed {seed}: {middle!r}"
