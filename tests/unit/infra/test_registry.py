import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import problem_of
from infra.floor_plans import plans_of
from infra.registry import RegistryError, check_registry, load_registry
from operators.calendar import is_open
from schemas.sites import Device, Line, Registry, Zone

EXAMPLE = Path(__file__).parents[3] / "docs" / "example-site.toml"


def _file(folder: Path, text: str, name: str = "shop.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def _mistakes(folder: Path, text: str) -> list[str]:
    path = _file(folder, text)
    return [line.removeprefix(str(path)) for line in check_registry(path)]


def test_the_example_file_loads_and_says_every_key() -> None:
    registry = load_registry(EXAMPLE)
    site = registry.sites["berlin-mitte"]
    assert (site.name, site.zone, site.country, site.reset_minute) == ("Berlin Mitte", "Europe/Berlin", "DE", 240)
    assert (site.capacity_operational, site.capacity_legal) == (120, 150)
    assert site.hours is not None and site.hours["wed"] == ((540, 780), (840, 1200))
    assert site.hours["sat"] == ((600, 1560),) and site.hours["sun"] == ()
    assert dict(site.exceptions) == {"2026-12-24": ((540, 840),), "2026-12-25": ()}
    door = site.devices["6384e16179950009"]
    assert door.lines == {1: Line(1, "Door left", "entrance", False, "window"), 2: Line(2, "To the café", "inner")}
    assert door.zones == {1: Zone(1, "Checkout", "checkout", 12, shape="checkout"), 2: Zone(2, "Tills", "service", queue=1)}
    assert site.devices["24e124707c481000"].since == int(datetime(2026, 3, 1, 5, tzinfo=UTC).timestamp())
    keys = set(Device.__struct_fields__) - {"since", "lines", "zones"} | {"from", "[[devices.lines]]", "[[devices.zones]]"}
    assert not [key for key in keys if key not in EXAMPLE.read_text()]


def test_hours_past_midnight_are_open_on_the_next_morning() -> None:
    site = load_registry(EXAMPLE).sites["berlin-mitte"]
    sunday = datetime(2026, 3, 8, 0, 59, tzinfo=UTC)  # 01:59 in Berlin
    assert is_open(site, int(sunday.timestamp())) and not is_open(site, int(sunday.timestamp()) + 60)


def test_a_short_file_takes_its_id_from_the_file_name_and_is_always_open(tmp_path: Path) -> None:
    site = load_registry(_file(tmp_path, 'zone = "Europe/Paris"', "paris-1.toml")).sites["paris-1"]
    assert site.hours is None and site.name == "paris-1" and dict(site.devices) == {}


def test_every_mistake_is_said_at_once_with_line_key_and_remedy(tmp_path: Path) -> None:
    text = """id = "a/b"
zone = "Europe/Berlim"
country = "Germany"
rest = "04:00"
reset = "4 am"
[capacity]
operational = 100
legal = 80
[hours]
mon = ["09:00-12:00", "11:00-20:00"]
tue = ["9-20"]
wed = ["22:00-09:30"]
thu = ["09:00-20:00"]
funday = "closed"
[exceptions]
2026-02-30 = "closed"
[[devices]]
id = 123456789012
[[devices]]
id = "AABBCCDD"
interval_s = "60"
clock = "devise"
swap = 1
from = "tomorrow"
[[devices.lines]]
number = 1
role = "entrence"
[[devices.lines]]
number = 1
[[devices]]
id = "aabbccdd"
[[devices.lines]]
name = "no number"
[[devices.zones]]
number = 70000
capacity = 0
"""
    found = _mistakes(tmp_path, text)
    expected = [
        ":1: id: 'a/b' cannot be used; up to 64 letters, digits, dots, dashes and underscores",
        ":2: zone: 'Europe/Berlim' is not a known zone; did you mean 'Europe/Berlin'?",
        ":3: country: 'Germany' is not a country code; two capital letters (ISO 3166), such as DE",
        ":4: rest: unknown key; did you mean 'reset'?",
        ":5: reset: '4 am' is not a time of day; write it as \"04:00\"",
        ":8: capacity.legal: 80 is below the operational capacity 100; lower that one",
        ":10: hours.mon: 09:00-12:00 and 11:00-20:00 overlap; make one of them",
        ':11: hours.tue: \'9-20\' is not an opening time; write ["09:00-20:00"], or "closed"',
        ":12: hours.wed: 22:00-09:30 runs into 09:00-20:00 of the next day (wed and thu); shorten one of them",
        ":14: hours.funday: unknown key; known here: mon, tue, wed, thu, fri, sat, sun",
        ":16: exceptions.2026-02-30: is not a date; write it as 2026-12-24",
        ":18: devices[1].id: must be text in quotes, not whole number 123456789012; "
        "put the serial number in quotes, its leading zeros count",
        ":21: devices[2].interval_s: must be a whole number, not text '60'",
        ":22: devices[2].clock: 'devise' is not possible; did you mean 'device'?",
        ":23: devices[2].swap: must be true or false, not whole number 1",
        ":24: devices[2].from: 'tomorrow' is not a date and time; write from = 2026-03-01T06:00:00+01:00",
        ":27: devices[2].lines[1].role: 'entrence' is not possible; did you mean 'entrance'?",
        ":29: devices[2].lines[2].number: 1 stands here twice; each number once per device",
        ":31: devices[3].id: device aabbccdd stands here twice; take one away or give it another `from`",
        ":32: devices[3].lines[1]: has no number; add the number that the device reports",
        ":35: devices[3].zones[1].number: 70000 is out of range; it must lie between 0 and 65535",
        ":36: devices[3].zones[1].capacity: 0 is out of range; it must lie between 1 and 1000000",
    ]
    assert found == expected
    with pytest.raises(RegistryError) as raised:
        load_registry(tmp_path / "shop.toml")
    problem = problem_of(raised.value)
    assert problem is not None and str(problem).startswith("site registry: 22 mistakes\n")
    assert all(line in str(problem) for line in expected)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('zone = "UTC"\nname = 3', ":2: name: must be text in quotes, not whole number 3"),
        ('id = "x"', ': zone: is missing; add the IANA zone of the store, such as zone = "Europe/Berlin"'),
        ('zone = "Berlin"', ":1: zone: 'Berlin' is not a known zone; did you mean 'Europe/Berlin'?"),
        ('zone = "../UTC"', ":1: zone: '../UTC' is not a known zone; did you mean 'UTC'?"),
        ('zone = "UTC"\ncapacity = 120', ":2: capacity: must be a table, not whole number 120"),
        ('zone = "UTC"\n[[devices]]\nid = "AAAA"\nlines = 3',
         ":4: devices[1].lines: must be a list, not whole number 3; write [[devices.lines]] tables"),
        ('zone = "UTC"\n[capacity]\nlegal = 0x' + "f" * 5000,
         ":3: capacity.legal: of more than 30 digits is out of range; it must lie between 1 and 1000000"),
        ('zone = "UTC"\nname = 0x' + "f" * 5000,
         ":2: name: must be text in quotes, not whole number of more than 30 digits"),
        ('zone = "UTC"\nname = [' + "1, " * 500 + "]",
         ":2: name: must be text in quotes, not list [" + "1, " * 25 + "1..."),
        ('zone = "UTC"\n[capacity]\nlegal = true', ":3: capacity.legal: must be a whole number, not true/false True"),
        ('zone = "UTC"\ndevices = ["a"]', ":2: devices[1]: must be a table, not text; write [[devices]] tables"),
        ('zone = "UTC"\n[exceptions]\n2026-01-01 = "closed"', ":2: exceptions: have no meaning without [hours]; "
         "add the usual hours of the week"),
        ('zone = "UTC"\n[hours]\nmon = "09:00-09:00"',
         ':3: hours.mon: \'09:00-09:00\' has no length; the whole day is "00:00-24:00"'),
        ('zone = "UTC"\n[hours]\nsun = "22:00-03:00"\nmon = "02:00-05:00"',
         ":3: hours.sun: 22:00-03:00 runs into 02:00-05:00 of the next day (sun and mon); shorten one of them"),
        # 2026-12-24 is a Thursday
        ('zone = "UTC"\n[hours]\nfri = "08:00-20:00"\n[exceptions]\n2026-12-24 = "20:00-09:00"',
         ":5: exceptions.2026-12-24: 20:00-09:00 runs into 08:00-20:00 of the next day (2026-12-24 and 2026-12-25); "
         "shorten one of them"),
        ('zone = "UTC"\n[[devices]]\nid = "AAAA"\ntrigger = "counter"\ncounting = "trigger"',
         ":4: devices[1].trigger: triggers that are running totals count nobody; set counting to window"),
        ('zone = "UTC"\n[[devices]]\nname = "x"', ":2: devices[1]: has no id; add the serial number or devEUI of the device"),
    ],
)  # fmt: skip
def test_single_mistakes(tmp_path: Path, text: str, said: str) -> None:
    assert _mistakes(tmp_path, text) == [said]


def test_broken_toml_names_the_line(tmp_path: Path) -> None:
    assert _mistakes(tmp_path, 'zone = "UTC"\nname = ') == [
        ": cannot be read: Invalid value (at end of document); mend the file"
    ]
    (tmp_path / "shop.toml").write_bytes(b"name = \xff")
    assert "utf-8" in check_registry(tmp_path / "shop.toml")[0]
    assert "cannot be read" in _mistakes(tmp_path, "a = " + "[" * 5000)[0]
    assert "cannot be read" in _mistakes(tmp_path, "a = " + "9" * 5000)[0]


def test_a_byte_order_mark_of_an_editor_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "shop.toml").write_bytes(b'\xef\xbb\xbfzone = "UTC"\n')
    assert check_registry(tmp_path / "shop.toml") == []


def test_a_device_is_found_by_the_mac_that_stands_on_its_label(tmp_path: Path) -> None:
    """The decoders name a device without serial number by its MAC without colons."""
    registry = load_registry(_file(tmp_path, 'zone = "UTC"\n[[devices]]\nid = "24:E1:24:FA:0C:6C"'))
    assert registry.find("24e124fa0c6c", time.time())[0].id == "shop"


def test_mistakes_of_all_files_of_a_folder_are_said_together(tmp_path: Path) -> None:
    device = '[[devices]]\nid = "AAAA0001"\n'
    _file(tmp_path, f'id = "one"\nzone = "UTC"\n{device}', "a.toml")
    _file(tmp_path, f'id = "one"\nzone = "UTC"\n{device}', "b.toml")
    _file(tmp_path, 'zone = "Mars"\n', "c.toml")
    _file(tmp_path, "this is no store", "notes.txt")
    _file(tmp_path, "neither is this", ".hidden.toml")
    found = check_registry(tmp_path)
    assert [line.replace(str(tmp_path) + "/", "") for line in found] == [
        "b.toml:1: id: store 'one' stands in a.toml too; give each store its own id",
        "b.toml:4: devices[1].id: device aaaa0001 stands in a.toml too; say with `from` when it moved",
        "c.toml:1: zone: 'Mars' is not a known zone; give an IANA name such as \"Europe/Berlin\"",
    ]


def test_a_device_that_moved_is_found_where_it_was_at_the_time(tmp_path: Path) -> None:
    # old store until 1 March 06:00 Berlin time (no offset: the store's zone), new one from then on, back on 1 April
    _file(
        tmp_path,
        'zone = "Europe/Berlin"\n[[devices]]\nid = "AAAA0001"\n[[devices]]\nid = "aaaa0001"\nfrom = 2026-04-01\nswap = true',
        "old.toml",
    )
    _file(tmp_path, 'zone = "Europe/Berlin"\n[[devices]]\nid = "Aaaa0001"\nfrom = "2026-03-01T06:00:00"', "new.toml")
    registry = load_registry(tmp_path)
    march = datetime(2026, 3, 1, 5, tzinfo=UTC).timestamp()
    april = datetime(2026, 3, 31, 22, tzinfo=UTC).timestamp()
    seen = [registry.find("aaaa0001", at) for at in (march - 0.001, march, april - 1, april)]
    assert [(site.id, device.swap) for site, device in seen] == [("old", False), ("new", False), ("new", False), ("old", True)]


def test_without_a_path_every_device_is_unassigned_in_the_default_zone() -> None:
    registry = load_registry(None, "Europe/Rome")
    site, _ = registry.find("ffff", time.time())
    assert isinstance(registry, Registry) and (site.id, site.zone) == ("unassigned/ffff", "Europe/Rome")
    with pytest.raises(RegistryError, match="FOOTSTREAM_DEFAULT_ZONE: 'Rome' is not a known zone"):
        load_registry(None, "Rome")


def test_a_missing_path_and_an_empty_folder_say_what_to_do(tmp_path: Path) -> None:
    assert "does not exist; name a TOML file or a folder" in check_registry(tmp_path / "none")[0]
    assert "holds no *.toml file" in check_registry(tmp_path)[0]


words = st.sampled_from(
    ["id", "zone", "name", "hours", "devices", "lines", "capacity", "mon", "from", "number", "exceptions", "reset"]
)
values = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False) | st.datetimes()
    | st.text(st.characters(codec="ascii", exclude_characters='"\\\x7f', min_codepoint=32)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, datetime):
        return value.isoformat()
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


@given(st.dictionaries(words, values, max_size=8))
def test_no_toml_whatever_makes_it_raise_anything_else(
    tmp_path_factory: pytest.TempPathFactory, table: dict[str, object]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text("\n".join(f"{key} = {_toml(value)}" for key, value in table.items()))
    mistakes = check_registry(path)
    if not mistakes:
        assert isinstance(load_registry(path), Registry)


def test_a_floor_plan_is_read_with_the_registry_and_its_shapes_are_known(tmp_path: Path) -> None:
    (tmp_path / "floor.svg").write_text('<svg viewBox="0 0 9 9"><rect id="shoes" width="3" height="3"/></svg>')
    text = 'zone = "UTC"\nplan = "floor.svg"\n[[devices]]\nid = "cam1"\n[[devices.zones]]\nnumber = 1\nshape = "shoes"\n'
    registry = load_registry(_file(tmp_path, text, "shop.toml"))
    assert plans_of(registry)("shop") == {
        "svg": '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">'
        '<rect width="3" height="3" id="plan-shoes"></rect></svg>',
        "shapes": {"cam1:1": "plan-shoes"},
    }
    assert plans_of(registry)("other") is None
    wrong = check_registry(_file(tmp_path, text.replace('"shoes"', '"shoe"'), "shop.toml"))
    assert "did you mean 'shoes'?" in wrong[0]
    gone = check_registry(_file(tmp_path, text.replace("floor.svg", "gone.svg"), "shop.toml"))
    assert "cannot be read" in gone[0]
    bare = check_registry(_file(tmp_path, text.replace('plan = "floor.svg"', ""), "shop.toml"))
    assert "there is no plan" in bare[0]
