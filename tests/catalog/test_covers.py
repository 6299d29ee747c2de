from hashlib import sha256
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
