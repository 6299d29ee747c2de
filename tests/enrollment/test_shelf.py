from xml.etree import ElementTree

import pytest

from enrollment.shelf import filled_of, sections
from enrollment.templatetags.shelf import without_end


@pytest.mark.parametrize(
    ("taken", "cap", "books"),
    [
        (0, 2000, 0),
        (1, 2000, 1),
        (1412, 2000, 71),
        (1999, 2000, 99),
        (2000, 2000, 100),
        (5, 3, 100),
        (0, 0, 0),
        (3, 0, 0),
    ],
)
def test_books_stand_for_seats_taken(taken: int, cap: int, books: int) -> None:
    assert filled_of(100, taken=taken, cap=cap) == books


@pytest.mark.parametrize("taken", [0, 1, 24, 25, 26, 50, 71, 99, 100])
def test_shelf_draws_every_book_or_its_gap(taken: int) -> None:
    drawn = [ElementTree.fromstring(section) for section in sections(taken=taken, cap=100)]
    assert len(drawn) == 4
    colored = sum(1 for section in drawn for path in section.iter("path") if path.get("fill") not in (None, "#fff"))
    assert colored == taken


def test_books_keep_their_place_when_others_come() -> None:
    before, after = (sections(taken=taken, cap=100)[0] for taken in (30, 60))
    assert before == after


def test_books_wear_the_colors_of_the_areas_on_offer() -> None:
    section = ElementTree.fromstring(sections(taken=100, cap=100, areas=["health"])[0])
    assert {path.get("fill") for path in section.iter("path")} - {None, "#fff"} == {"#4d7a3a"}


@pytest.mark.parametrize("label", ["Waarom?", "Pourquoi\u00a0?", "Why", "Pourquoi\u202f: "])
def test_label_goes_on_without_its_end_and_the_space_before_it(label: str) -> None:
    assert without_end(label) in {"Waarom", "Pourquoi", "Why"}
