"""The floor of a store in a real Chromium, over a real engine: plan, ribbons, heat map, phone, and a drawing that means
harm."""

import re
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from infra.floor_plans import plans_of
from operators.paths import bottlenecks
from schemas.sites import Device, Registry, Zone
from schemas.sites import Site as Store
from tests.integration.test_board_page import browser, no_sideways_scroll, page_of  # noqa: F401  # the fixture `browser`
from tests.support.seed import Seed
from tests.support.seed_floor import CAMERA
from tests.support.web import Site

FLOOR = "/#/on/footstream-floor/oslo-karl-johan"


def loaded(page: Page) -> None:
    """Nine panels ask one engine: on a busy machine that takes longer than an assertion waits."""
    page.wait_for_selector(".view[data-loaded]", timeout=60_000)


def test_zones_are_coloured_by_their_share_and_named_with_it(browser: Browser, board: Site) -> None:  # noqa: F811
    with page_of(browser, board, FLOOR) as page:
        loaded(page)
        expect(page.locator(".plan svg .labels text")).to_have_count(10)
        shown = {
            zone: float(page.locator(f"#plan-{zone}").get_attribute("fill-opacity") or 0)
            for zone in ("shoes", "jackets", "cafe", "sale", "checkout")
        }
        assert sorted(shown, key=shown.__getitem__)[::4] == ["sale", "shoes"]
        assert max(shown.values()) == 0.88
        expect(page.locator(".zones li")).to_have_count(5)
        expect(page.locator("#plan-shoes title")).to_have_text(re.compile(r"Shoes · \d+% of the time · \d+ stays · 4 min each"))


def test_ribbons_say_how_many_went_where_and_the_table_says_it_too(browser: Browser, board: Site, chain: Seed) -> None:  # noqa: F811
    with page_of(browser, board, FLOOR) as page:
        loaded(page)
        answer = board.get("/api/v1/boards/footstream-floor/flows?store=oslo-karl-johan")[1]["columns"]
        expect(page.locator(".sankey .ribbon")).to_have_count(len(answer["id"]))
        expect(page.locator("[data-panel=flows] .legend")).to_contain_text("counted by tracks")
        at = answer["id"].index("Shoes → Checkout")
        expect(page.locator(".ribbon title", has_text="Shoes → Checkout")).to_have_text(
            f"Shoes → Checkout: {round(answer['mainstat'][at]):,} people"
        )
        page.locator("[data-panel=flows] summary").click()
        expect(page.locator("[data-panel=flows] tbody tr")).to_have_count(len(answer["id"]))
        left = {r["origin"]: 0 for r in chain.dicts("path_flows")}
        came = dict(left)
        for r in chain.dicts("path_flows"):
            left[r["origin"]] += r["people"]
            came[r["destination"]] = came.get(r["destination"], 0) + r["people"]
        assert all(left[p] == came[p] for p in left if p != "entry")


def test_an_estimate_is_called_one_and_shows_its_bounds(browser: Browser, board: Site) -> None:  # noqa: F811
    with page_of(browser, board, "/#/on/footstream-floor/berlin-mitte") as page:
        loaded(page)
        expect(page.locator("[data-panel=flows] .legend")).to_have_text(re.compile("estimated from counts of lines and zones"))
        expect(page.locator(".ribbon title").first).to_have_text(re.compile(r"people, at least \d+, at most \d+"))
        expect(page.locator(".plan .hint")).to_contain_text("No floor plan of this store")


def test_one_gets_from_a_store_to_its_floor_and_back_also_on_a_phone(browser: Browser, board: Site) -> None:  # noqa: F811
    with page_of(browser, board, "/#/store/oslo-karl-johan", viewport={"width": 390, "height": 800}) as page:
        page.locator(".siblings a", has_text="Floor").click()
        expect(page.locator("[data-panel=plan]")).to_be_visible()
        loaded(page)
        expect(page.locator(".cells .cell")).to_have_count(160)
        expect(page.locator("[data-panel=health] tbody tr")).to_have_count(3)
        assert no_sideways_scroll(page)
        page.locator(".siblings a", has_text="One store").click()
        expect(page.locator("[data-panel=occupancy]")).to_be_visible()


def test_a_drawing_that_means_harm_is_drawn_and_does_none(browser: Browser, board: Site, tmp_path: Path) -> None:  # noqa: F811
    path = tmp_path / "evil.svg"
    path.write_text(
        "<svg viewBox='0 0 9 9' onload='a()'><script>a()</script><rect id='shoes' width='3' height='3' onclick='a()'/>"
        "<image href='http://a.example/x.png'/><rect id='main' width='1' height='1'/></svg>"
    )
    cameras = {CAMERA: Device(CAMERA, zones={1: Zone(1, "Shoes", shape="shoes")})}
    plan = plans_of(Registry({"oslo-karl-johan": Store("oslo-karl-johan", "Oslo", "UTC", plan=str(path), devices=cameras)}))
    answer = plan("oslo-karl-johan")
    assert answer is not None
    with page_of(browser, board, FLOOR) as page:
        loaded(page)
        page.route("**/plan", lambda route: route.fulfill(json=answer))
        page.reload()
        loaded(page)
        expect(page.locator("#plan-shoes")).to_have_attribute("class", "zone")
        assert page.locator(".plan script, .plan image, .plan [onclick]").count() == 0
        assert page.locator("#main").count() == 1


def test_the_sql_of_bottlenecks_is_the_operator(board: Site, chain: Seed) -> None:
    answer = board.get("/api/v1/boards/footstream-floor/bottlenecks?store=oslo-karl-johan")[1]["columns"]
    hours: dict[str, list[tuple[float, float]]] = {}
    for r in chain.dicts("path_places"):
        hours.setdefault(r["place_name"], []).append((r["stays"], r["dwell_s"]))
    wanted = {d.place: (d.free_s, d.busy_s, d.lost_s) for d in bottlenecks(hours)}
    found = dict(zip(answer["name"], zip(answer["free"], answer["busy"], answer["lost"], strict=True), strict=True))
    assert found.keys() == wanted.keys()
    for place, figures in wanted.items():
        assert [round(v, 6) for v in found[place]] == [round(v, 6) for v in figures], place
