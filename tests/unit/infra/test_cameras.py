"""The camera poller against a camera that keeps the rules of the real ones."""

import json
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from connectors.camera import CameraError, Login, fetch, url_mistake
from connectors.log import RAW, Writer, open_log
from infra.cameras import Poller, logins_of, queries_of
from infra.errors import Problem
from infra.registry import RegistryError, load_registry
from schemas.sites import Registry
from tests.support.bridge import read_log, wait_until
from tests.support.camera import FakeCamera

NOW = 1_785_492_000 + 600  # 2026-07-31 10:10 UTC, 12:10 in Berlin
HOUR, DAY = 3600, 86_400
LOGIN = Login("operator", "pass word")


class Clock:
    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


def counted(clock: Clock) -> Callable[[int], int]:
    """A person a minute, up to now."""
    return lambda hour: max(0, min(60, int(clock.now - hour) // 60))


def registry_of(folder: Path, *cameras: FakeCamera, queries: str = '["lines"]', zone: str = "") -> Registry:
    text = 'id = "cafe"\nzone = "Europe/Berlin"\n'
    for number, camera in enumerate(cameras):
        text += f'[[devices]]\nid = "CAM{number}"\ncamera = "{camera.url}"\ncamera_queries = {queries}\n'
        text += f'camera_zone = "{zone}"\n' if zone else ""
    (folder / "site.toml").write_text(text)
    return load_registry(folder / "site.toml")


class Setup:
    """A poller over an embedded log in a folder, and what the log has."""

    def __init__(self, folder: Path, clock: Clock, registry: Registry, login: Login = LOGIN) -> None:
        self.folder, self.clock, self.registry, self.login = folder, clock, registry, login
        self.said: list[str] = []
        self.log = open_log(f"sqlite:///{folder / 'log'}")
        self.log.ensure_topic(RAW, 1)
        self.poller = self.new()

    def new(self) -> Poller:
        queries = queries_of(self.registry, {"default": self.login})
        return Poller(
            queries, self.log.writer, self.registry, self.folder / "cameras.json", 300, self.clock, tell=self.said.append
        )

    def once(self) -> list[str]:
        """Poll once; the records that this brought."""
        before = len(read_log(self.folder))
        self.poller = self.new()
        self.poller.run(once=True)
        return [record.value.decode() for record in read_log(self.folder)[before:]]


def rows_of(records: list[str]) -> dict[str, int]:
    """People in by StartTime; the last one wins."""
    found: dict[str, int] = {}
    for record in records:
        for row in re.findall(r"^(\d{4}\S+ \S+),[^,]+,(\d+)", record, re.MULTILINE):
            found[row[0]] = int(row[1])
    return found


def test_the_first_poll_asks_for_seven_days_by_the_day_and_the_next_only_for_what_may_have_grown(tmp_path: Path) -> None:
    clock = Clock()
    with FakeCamera(clock, counted(clock), zone="Europe/Berlin") as camera:
        setup = Setup(tmp_path, clock, registry_of(tmp_path, camera))
        first = setup.once()
        rows = rows_of(first)
        assert len(first) == 8, "seven days touch eight civil days"
        assert len(rows) == 7 * 24 + 1 and set(rows.values()) == {60, 10}
        assert rows["2026/07/31 12:00:00"] == 10
        assert first[-1].startswith(
            "#camera cam0 Europe/Berlin dw=vcalogcsv&report_type=0&statistics_type=3&linetype=31&time_start="
        )
        assert "13:00:00" not in first[-1].partition("\n")[2], "hours that have not begun are left out"
        clock.now += 300
        again = setup.once()
        assert rows_of(again) == {"2026/07/31 12:00:00": 15}
        clock.now = NOW + 3 * HOUR
        assert rows_of(setup.once()) == {f"2026/07/31 {12 + n}:00:00": (60, 60, 60, 10)[n] for n in range(4)}
        assert camera.at_once == 1


def test_an_outage_is_filled_in_as_far_as_the_camera_remembers(tmp_path: Path) -> None:
    clock = Clock()
    with FakeCamera(clock, counted(clock)) as camera:
        setup = Setup(tmp_path, clock, registry_of(tmp_path, camera, zone="UTC"))
        setup.once()
        clock.now += 2 * DAY
        filled = rows_of(setup.once())
        assert len(filled) == 49 and min(filled) == "2026/07/31 10:00:00" and filled["2026/07/31 10:00:00"] == 60
        clock.now += 30 * DAY
        assert len(rows_of(setup.once())) == 7 * 24 + 1
        (tmp_path / "cameras.json").write_text("{broken")
        assert len(rows_of(setup.once())) == 7 * 24 + 1, "without its notes it asks for everything again"


def test_maps_are_asked_for_when_their_hour_is_over_and_one_that_fails_holds_up_nothing(tmp_path: Path) -> None:
    clock = Clock()
    with FakeCamera(clock, counted(clock)) as camera:
        camera.broken = {"spaceheatmap"}
        setup = Setup(
            tmp_path, clock, registry_of(tmp_path, camera, queries='["space", "heat", "lines", "regions"]', zone="UTC")
        )
        records = setup.once()
        heat = rows_of([record for record in records if "heatmapcsv" in record])
        assert len(heat) == 7 * 24 and max(heat) == "2026-07-31 09:00:00"
        assert [line for line in setup.said if "502" in line] == [
            f"camera {camera.url[7:]}: answers 502; it is asked again later (space); the camera keeps seven days"
        ]
        assert list(setup.poller.health()["troubles"]) == ["cam0 space"] and setup.poller.health()["ok"]
        camera.broken = set()
        clock.now += 60
        maps = [record for record in setup.once() if "spaceheatmap" in record]
        assert len(maps) == 7 * 24 and all("time_end=2026-" in one and '"value": 9' in one for one in maps)


def test_an_answer_that_has_not_changed_is_not_logged_again(tmp_path: Path) -> None:
    clock = Clock()
    with FakeCamera(clock, lambda hour: 0) as camera:
        setup = Setup(tmp_path, clock, registry_of(tmp_path, camera, zone="UTC"))
        thread = threading.Thread(target=setup.poller.run)
        thread.start()
        for asked in (8, 9, 10, 11):
            wait_until(lambda asked=asked: setup.poller.stats.asked == asked, 20)  # type: ignore[misc]  # a bound default
            clock.now += 301
        setup.poller.stop.set()
        thread.join(20)
        assert setup.poller.stats.logged == 9, "the running hour once within its day, once alone"
        assert setup.poller.stats.unchanged >= 2


def test_a_camera_that_hangs_holds_up_no_other_and_is_never_asked_twice_at_once(tmp_path: Path) -> None:
    clock = Clock()
    with FakeCamera(clock, lambda hour: 1) as slow, FakeCamera(clock, lambda hour: 2) as good:
        slow.hold.clear()
        setup = Setup(tmp_path, clock, registry_of(tmp_path, slow, good, queries='["lines", "heat"]', zone="UTC"))
        thread = threading.Thread(target=setup.poller.run)
        thread.start()
        wait_until(lambda: setup.poller.stats.logged == 16, 20, lambda: str(setup.poller.stats))
        assert not slow.asked
        slow.hold.set()
        wait_until(lambda: setup.poller.stats.logged == 32, 20, lambda: str(setup.poller.stats))
        setup.poller.stop.set()
        thread.join(20)
        assert (slow.at_once, good.at_once) == (1, 1) and not thread.is_alive()


def test_what_the_log_did_not_take_is_asked_for_again(tmp_path: Path) -> None:
    clock = Clock()
    with FakeCamera(clock, lambda hour: 1) as camera:
        setup = Setup(tmp_path, clock, registry_of(tmp_path, camera, zone="UTC"))

        def broken() -> Writer:
            writer = setup.log.writer()
            writer.close()  # refuses from here on
            return writer

        queries = queries_of(setup.registry, {"default": LOGIN})
        poller = Poller(queries, broken, setup.registry, tmp_path / "cameras.json", 300, clock, tell=setup.said.append)
        poller.run(once=True)
        assert not poller.health()["ok"] and not read_log(tmp_path) and not (tmp_path / "cameras.json").exists()
        assert len(rows_of(setup.once())) == 7 * 24 + 1


@pytest.mark.parametrize("auth", ["basic", "digest", "none"])
def test_the_login_is_given_as_the_camera_asks_for_it(auth: str) -> None:
    clock = Clock()
    with FakeCamera(clock, lambda hour: 1, auth) as camera:
        path = "/dataloader.cgi?dw=vcalogcsv&time_start=2026-07-31-10:00:00&time_end=2026-07-31-10:59:59"
        assert fetch(camera.url, path, LOGIN).startswith(b"StartTime")
        if auth != "none":
            with pytest.raises(CameraError, match=r"refuses the login \(401\)") as refused:
                fetch(camera.url, path, Login("operator", "wr0ng"))
            with pytest.raises(CameraError, match=r"wants a login \(401\)"):
                fetch(camera.url, path)
            assert "wr0ng" not in str(refused.value) + repr(Login("operator", "wr0ng"))


def test_a_camera_that_is_not_there_or_wants_another_login_is_one_line() -> None:
    with FakeCamera(Clock(), lambda hour: 1, "negotiate") as camera:
        with pytest.raises(CameraError, match="neither Basic nor Digest"):
            fetch(camera.url, "/dataloader.cgi?dw=heatmapcsv", LOGIN)
        camera.hold.clear()
        with pytest.raises(CameraError, match=r"no answer: .*timed out"):
            fetch(camera.url, "/dataloader.cgi?dw=heatmapcsv", LOGIN, 0.2)
    with pytest.raises(CameraError, match="no answer"):
        fetch(camera.url, "/dataloader.cgi?dw=heatmapcsv", LOGIN)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ('camera = "10.0.0.5"', "is not a URL of a camera"),
        ('camera = "http://admin:x@10.0.0.5"', "holds a login"),
        ('camera = "http://10.0.0.5/cgi"', "holds a path"),
        ('camera = "http://10.0.0.5:99999"', "is not a URL"),
        (
            'camera = "http://10.0.0.5"\ncamera_queries = ["faces"]',
            "'faces' is not possible; choose lines, regions, heat, space",
        ),
        ('camera = "http://10.0.0.5"\ncamera_zone = "Berlin"', "is not a known zone"),
    ],
)
def test_a_wrong_entry_of_the_registry_is_named(tmp_path: Path, entry: str, says: str) -> None:
    (tmp_path / "s.toml").write_text(f'zone = "UTC"\n[[devices]]\nid = "CAM1"\n{entry}\n')
    with pytest.raises(RegistryError, match=re.escape(says)):
        load_registry(tmp_path / "s.toml")
    assert url_mistake("http://10.0.0.5:8080") is None


def test_logins_come_from_a_file_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "cameras.toml"
    file.write_text('[default]\nuser = "a"\npassword = "b"\n["2C:F7:01"]\nuser = "c"\npassword = "d"\n')
    assert logins_of(file) == {"default": Login("a", "b"), "2cf701": Login("c", "d")}
    assert logins_of(None) == {}
    for text, says in (("[default]\nuser = 'a'\n", "needs user and password"), ("x", "is no TOML")):
        file.write_text(text)
        with pytest.raises(Problem, match=says):
            logins_of(file)


def test_how_far_each_camera_is_known_is_written_only_after_the_log_has_it(tmp_path: Path) -> None:
    clock = Clock()
    with FakeCamera(clock, lambda hour: 1) as camera:
        setup = Setup(tmp_path, clock, registry_of(tmp_path, camera, zone="UTC"))
        setup.once()
        assert json.loads((tmp_path / "cameras.json").read_text()) == {"cam0 lines": NOW - 600}
