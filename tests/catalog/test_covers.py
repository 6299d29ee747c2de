import re
from hashlib import sha256
from io import BytesIO
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from catalog import cover_pictures
from catalog.covers import COLORS, color_of, cover_svg


@pytest.mark.parametrize("area", [*COLORS, "an area of tomorrow"])
def test_cover_is_whole_and_small(area: str) -> None:
    svg = cover_svg(code="ST-1001", area=area)
    assert ElementTree.fromstring(svg).tag == "svg"
    assert len(svg) < 2500


def test_cover_stays_the_same_for_ever() -> None:
    """A member knows a course by its cover: a change here is seen by everyone."""
    drawn = sha256(cover_svg(code="ST-1001", area="languages").encode()).hexdigest()
    assert drawn == "5efd394cb7fdefec4dd88e61fa4b131a8f73cff38b2852abd48bf828af006268"


def test_covers_of_one_area_differ() -> None:
    """Two in forty may look alike: there are only so many simple patterns."""
    for area in COLORS:
        assert len({cover_svg(code=f"ST-{number}", area=area) for number in range(40)}) >= 38


@given(code=st.text(max_size=50), area=st.text(max_size=50))
def test_nothing_of_the_course_is_written_into_its_cover(code: str, area: str) -> None:
    svg = cover_svg(code=f"{code}<x>&\"'", area=area)
    assert {element.tag for element in ElementTree.fromstring(svg).iter()} <= {"svg", "path", "circle"}
    assert "style" not in svg


def test_an_unknown_area_has_a_color_of_ours() -> None:
    assert color_of("an area of tomorrow") in COLORS.values()


@pytest.mark.parametrize("area", COLORS)
def test_picture_has_the_colors_of_the_cover(area: str) -> None:
    picture = Image.open(BytesIO(cover_pictures.png(code="ST-1", area=area))).convert("RGB")
    drawn = [bytes.fromhex(color) for color in re.findall(r'fill="#(\w{6})"', cover_svg(code="ST-1", area=area))]
    colors: Any = picture.getcolors(1 << 20)
    large = [color for count, color in colors if count > 20_000]
    assert picture.size == (1200, 630)
    assert len(large) >= 2
    for color in large:
        assert min(sum(abs(a - b) for a, b in zip(color, known, strict=True)) for known in drawn) <= 6


def test_picture_is_drawn_once() -> None:
    first = cover_pictures.png(code="ST-1", area="office")
    assert cover_pictures.png(code="ST-1", area="office") is first
    assert first != cover_pictures.png(code="ST-2", area="office") != cover_pictures.png(code="ST-2", area="home")


def test_arcs_and_bows_are_followed() -> None:
    quarter = cover_pictures._outline("M0 0h64a64 64 0 0 1-64 64z")
    assert quarter[-1] == pytest.approx((0, 64))
    assert all((x**2 + y**2) ** 0.5 == pytest.approx(64) for x, y in quarter[1:])
    wave = cover_pictures._outline("M0 10q80 -20 160 0t160 0V20H0z")
    assert (min(y for _x, y in wave), max(y for _x, y in wave[:-2])) == pytest.approx((0, 20))
    assert wave[-2:] == [(320, 20), (0, 20)]
