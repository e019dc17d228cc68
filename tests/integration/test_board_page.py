"""The live board in a real Chromium, over a real engine: figures, liveness, phone, keyboard, nothing from elsewhere."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from dashboards.web.app import STATIC
from dashboards.web.tokens import new_token, tokens_of
from tests.support.board_store import BoardStore
from tests.support.seed import HOSTILE, Seed
from tests.support.web import Clock, Site, serving

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
OSLO = "oslo-karl-johan"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        yield found
        found.close()


@contextmanager
def page_of(browser: Browser, site: Site, path: str = "/", quiet: bool = True, **options: Any) -> Iterator[Page]:
    """A page, and the assertion that it asked only us and (when `quiet`) that its console stayed empty."""
    options = {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB", "color_scheme": "dark", **options}
    context = browser.new_context(**options)
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    page.goto(site.url + path)
    try:
        yield page
        assert asked
        assert all(url.startswith((site.url, "data:")) for url in asked), asked
        assert not quiet or said == []
    finally:
        context.close()


def no_sideways_scroll(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_no_asset_refers_to_another_host_and_none_needs_unsafe_csp() -> None:
    for path in STATIC.rglob("*"):
        if not path.is_file() or path.name == "uPlot.LICENSE":
            continue
        text = re.sub(r"/\*!.*?\*/", "", path.read_text(), flags=re.DOTALL).replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"(https?:)?//[a-z0-9.-]+\.[a-z]{2,}/", text), path
        if path.suffix == ".html":
            assert not re.search(r"\sstyle=|\son[a-z]+=|<script>|<style", text), path


def test_all_stores_at_a_glance_show_the_seeded_figures(browser: Browser, board: Site, chain: Seed) -> None:
    rows = {row["site_name"]: row for row in board.get("/api/v1/stores")[1]["stores"]}
    with page_of(browser, board) as page:
        cards = page.locator(".card")
        expect(cards).to_have_count(len(chain.chain))
        oslo = cards.filter(has_text="Oslo Karl Johan")
        expect(oslo.locator(".people")).to_have_text(str(round(rows["Oslo Karl Johan"]["estimate"])))
        expect(oslo.locator(".ins")).to_have_text(f"{rows['Oslo Karl Johan']['in_today']:,}")
        expect(oslo.locator(".state")).to_contain_text("full")
        expect(oslo.locator(".alerts")).to_contain_text("1 alert")
        expect(cards.filter(has_text="Berlin Mitte").locator(".sensors")).to_contain_text("1 of 2 sensors off")
        expect(cards.filter(has_text="New York").locator(".measured")).to_have_text("◆ 50% measured")
        expect(oslo.locator(".measured")).to_be_hidden()
        expect(cards.filter(has_text="New York").locator(".clock")).to_have_text("09:42")
        expect(page.locator("[data-panel=off] tbody tr")).to_have_count(2)
        expect(page.locator("[data-panel=people] canvas")).to_be_visible()


def test_a_store_has_its_tiles_charts_and_tables_in_its_own_time(browser: Browser, board: Site) -> None:
    with page_of(browser, board, f"/#/store/{OSLO}") as page:
        expect(page.locator("h1")).to_have_text("Oslo Karl Johan")
        expect(page.locator(".sub")).to_contain_text("15:42 in the store (Europe/Oslo) · open")
        expect(page.locator("[data-panel=lines] tbody tr")).to_have_count(2)
        expect(page.locator("[data-panel=alerts] tbody tr")).to_have_count(1)
        expect(page.locator("[data-panel=sensors] tbody tr")).to_have_count(2)
        for panel in ("occupancy", "in-by-time", "out-by-time", "usual"):
            expect(page.locator(f"[data-panel={panel}] canvas")).to_be_visible()
        expect(page.locator("[data-panel=occupancy] .plot")).to_have_attribute(
            "aria-label", re.compile("People present: .* at 15:42")
        )
        expect(page.locator("[data-panel=in] .interval")).to_contain_text("last Sat")


def test_forecasts_reach_beyond_now_and_yesterdays_error_is_told(browser: Browser, board: Site) -> None:
    with page_of(browser, board, f"/#/on/footstream-forecast/{OSLO}") as page:
        # At 15:42 the hours from 15:00 to 03:00 are told, the coming ones without "ago".
        rows = page.locator("[data-panel=to-come] tbody tr")
        expect(rows).to_have_count(13)
        expect(rows.nth(0)).to_contain_text("ago")
        expect(rows.nth(1)).not_to_contain_text("ago")
        expect(page.locator("[data-panel=forecast-yesterday] tbody tr")).to_have_count(2)
        expect(page.locator("[data-panel=forecast-yesterday] tbody")).to_contain_text("a day before")
        expect(page.locator("[data-panel=forecast-models] tbody tr")).to_have_count(4)
        expect(page.locator("[data-panel=expected] canvas")).to_be_visible()


def test_hostile_names_stay_text(browser: Browser, board: Site) -> None:
    with page_of(browser, board, "/#/store/london-soho") as page:
        expect(page.locator("[data-panel=lines] tbody")).to_contain_text(HOSTILE)
        assert page.locator("img[src=x]").count() == 0


def test_a_new_row_appears_without_a_reload_and_a_new_alert_is_announced(
    browser: Browser, small_store: BoardStore, chain: Seed
) -> None:
    newest = max((r for r in chain.dicts("occupancy") if r["site"] == OSLO), key=lambda r: r["minute"])
    with serving(small_store, Clock(chain.now), poll_s=0.3) as site, page_of(browser, site) as page:
        people = page.locator(".card", has_text="Oslo").locator(".people")
        before = site.get(f"/api/v1/stores/{OSLO}")[1]["estimate"]
        expect(people).to_have_text(str(round(before)))
        small_store.insert("occupancy", [tuple({**newest, "estimate": 7.0, "revision": newest["revision"] + 1}.values())])
        expect(people).to_have_text("7", timeout=3000)
        alert = chain.dicts("transitions")[0]
        other = {**alert, "transition_id": "t", "episode_id": "e", "subject": "side door"}
        small_store.insert("transitions", [tuple(other.values())])
        expect(page.locator("#announce")).to_have_text("Oslo Karl Johan: 2 open alerts", timeout=3000)


def test_old_data_is_grey_and_says_how_old(browser: Browser, small_store: BoardStore, chain: Seed) -> None:
    clock = Clock(chain.now)
    with serving(small_store, clock, poll_s=0.2) as site, page_of(browser, site) as page:
        card = page.locator(".card", has_text="Oslo")
        expect(card.locator(".age")).to_have_text("data 21 s old")
        clock.value += 600
        small_store.insert(
            "sites", [tuple({**chain.dicts("sites")[0], "site_name": "Oslo moved", "loaded_ms": 2**50}.values())]
        )
        expect(card.locator(".age")).to_contain_text("10 min old", timeout=4000)
        assert "old" in str(card.get_attribute("class"))


def test_a_lost_server_is_said_and_the_board_comes_back_by_itself(
    browser: Browser, small_store: BoardStore, chain: Seed
) -> None:
    with serving(small_store, Clock(chain.now), poll_s=0.2) as site, page_of(browser, site, quiet=False) as page:
        expect(page.locator(".card")).to_have_count(2)
        expect(page.locator("#link-words")).to_have_text("live")
        small_store.broken = True
        expect(page.locator("#banner")).to_contain_text("The store does not answer", timeout=5000)
        assert "old" in str(page.locator("body").get_attribute("class"))
        small_store.broken = False
        expect(page.locator("#banner")).to_be_hidden(timeout=5000)
        page.context.set_offline(True)
        site.app.state.hub.close()
        expect(page.locator("#link-words")).to_have_text("reconnecting…", timeout=5000)
        site.app.state.hub.closed = False
        page.context.set_offline(False)
        expect(page.locator("#link-words")).to_have_text("live", timeout=15000)


@pytest.mark.parametrize("path", ["/", f"/#/store/{OSLO}", "/#/store/london-soho", "/#/board/footstream-pipeline", "/api"])
def test_a_phone_never_scrolls_sideways(browser: Browser, board: Site, path: str) -> None:
    with page_of(browser, board, path, viewport={"width": 360, "height": 740}, color_scheme="light") as page:
        page.wait_for_selector(".reference .panel" if path == "/api" else "[data-loaded]")
        assert no_sideways_scroll(page)


def test_on_a_wall_all_stores_fit_one_screen(browser: Browser, board: Site, chain: Seed) -> None:
    with page_of(browser, board, "/?wall", viewport={"width": 1920, "height": 1080}) as page:
        expect(page.locator(".card")).to_have_count(len(chain.chain))
        page.wait_for_selector("[data-loaded]")
        bottoms = page.locator(".card").evaluate_all("cards => cards.map(c => c.getBoundingClientRect().bottom)")
        assert max(bottoms) <= 1080
        assert _height_of_figures(page) >= 80


def _height_of_figures(page: Page) -> float:
    return float(page.locator(".card .people").first.evaluate("e => e.getBoundingClientRect().height"))


def test_on_a_wall_few_stores_are_larger_than_many(browser: Browser, small_store: BoardStore, chain: Seed) -> None:
    with (
        serving(small_store, Clock(chain.now)) as site,
        page_of(browser, site, "/?wall", viewport={"width": 1920, "height": 1080}) as page,
    ):
        expect(page.locator(".card")).to_have_count(2)
        page.wait_for_selector("[data-loaded]")
        assert _height_of_figures(page) >= 150
        assert no_sideways_scroll(page)


def test_nobody_today_and_nobody_last_week_is_the_same(browser: Browser, board: Site) -> None:
    with page_of(browser, board) as page:
        words = page.evaluate(
            "import('/static/format.js').then((m) => [[0, 0], [3, 0], [3, null], [96, 100]].map(([a, b]) => m.change(a, b)))"
        )
        assert [w and w["words"] for w in words] == ["same", "new", None, "−4%"]


def test_the_keyboard_reaches_a_store_and_the_theme(browser: Browser, board: Site) -> None:
    with page_of(browser, board) as page:
        page.wait_for_selector(".card")
        page.keyboard.press("Tab")
        expect(page.locator("#skip")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "name"
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text("Berlin Mitte")
        expect(page.locator("h1")).to_be_focused()
        page.locator("#theme").focus()
        page.keyboard.press("Enter")
        assert page.evaluate("document.documentElement.dataset.theme") == "light"


CONTRAST = """() => {
  const parse = (c) => c.match(/[0-9.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; })
    .reduce((s, v, i) => s + v * [.2126, .7152, .0722][i], 0);
  const back = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
  const poor = [];
  for (const e of document.querySelectorAll("main *, header *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.getClientRects().length) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(back(e))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) poor.push(`${e.tagName}.${e.className}: ${e.textContent.slice(0, 30)} ${((a + .05) / (b + .05)).toFixed(2)}`);
  }
  return poor;
}"""  # noqa: E501  # one expression of the page

UNNAMED = """() => [...document.querySelectorAll("a, button, [role=img], [role=meter]")]
  .filter((e) => !(e.innerText || "").trim() && !e.ariaLabel).length"""


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_all_text_has_the_contrast_of_wcag_aa_and_landmarks_are_there(browser: Browser, board: Site, scheme: str) -> None:
    for path in ("/", f"/#/store/{OSLO}", "/#/board/footstream-pipeline"):
        with page_of(browser, board, path, color_scheme=scheme) as page:
            page.wait_for_selector("[data-loaded]")
            assert page.evaluate(CONTRAST) == []
            assert page.evaluate("['header','nav','main','h1'].every((t) => document.querySelectorAll(t).length === 1)")
            unnamed = page.evaluate(UNNAMED)
            assert unnamed == 0


def test_with_tokens_the_page_asks_for_one_and_goes_on(browser: Browser, chain: Seed, chain_store: BoardStore) -> None:
    secret, digest = new_token()
    tokens = tokens_of({"token": [{"name": "wall", "sha256": digest, "sites": [OSLO]}]})
    with serving(chain_store, Clock(chain.now), tokens) as site, page_of(browser, site, quiet=False) as page:
        page.get_by_label("Bearer token").fill(secret)
        page.get_by_role("button", name="Open the board").click()
        expect(page.locator(".card")).to_have_count(1)
        expect(page.locator("#menu a")).to_have_count(1)


def test_the_picture_of_the_readme_is_small() -> None:
    picture = Path(__file__).parents[2] / "docs" / "board.png"
    assert picture.stat().st_size < 300_000


def test_the_board_of_queues_and_zones_shows_lanes_zones_classes_and_what_was_lost(browser: Browser, board: Site) -> None:
    """The seeded store: one queue whose lanes are advised, three zones of the registry, twenty lost minutes of a line."""
    with page_of(browser, board, f"/#/on/footstream-queues/{OSLO}", viewport={"width": 1280, "height": 1900}) as page:
        expect(page.locator("[data-panel=now] tbody tr")).to_have_count(1)
        expect(page.locator("[data-panel=now]")).to_contain_text("Checkout")
        expect(page.locator("[data-panel=zones] tbody tr")).to_have_count(3)
        expect(page.locator("[data-panel=lost] tbody tr")).to_have_count(1)
        expect(page.locator("[data-panel=lost]")).to_contain_text("reports lost")
        expect(page.locator("[data-panel=lost]")).to_contain_text("20 min")
        expect(page.locator("[data-panel=people]")).to_contain_text("female")
        for panel in ("length", "wait", "present"):
            expect(page.locator(f"[data-panel={panel}] canvas")).to_be_visible()
        assert no_sideways_scroll(page)
