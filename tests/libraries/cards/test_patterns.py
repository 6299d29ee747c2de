from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libraries.cards import numbers
from libraries.cards.patterns import Flaw, Problem, fits, has_check_digit, problems
from libraries.models import Institution

NUMBERS = st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=numbers.MAX_LENGTH)


@pytest.mark.parametrize(
    ("mask", "number", "answer"),
    [
        ("21######", "21000001", True),
        ("21######", "2100001", False),
        ("21######", "210000012", False),
        ("21######", "22000001", False),
        ("21######", "2100000A", False),
        ("@@####", "KB0001", True),
        ("@@####", "K10001", False),
        ("21*", "21", True),
        ("21*", "21AB34", True),
        ("21*", "2", False),
        ("21#*", "21", False),
        ("*", "9", True),
        ("kb##", "KB12", True),
        ("  21## ", "2112", True),
        # What other languages of patterns would read as more is a sign like any other, and fits nothing.
        (".*", "21", False),
        ("[0-9]+", "21", False),
        ("^21$", "21", False),
        # A digit is one of the ten; the number is normalized, but this function does not lean on it.
        ("#", "٣", False),
        ("@", "É", False),
    ],
)
def test_mask_says_which_numbers_are_theirs(mask: str, number: str, answer: bool) -> None:
    assert fits(number, mask) is answer


def test_number_needs_to_fit_one_of_the_masks() -> None:
    masks = "21######\r\n\r\n@@####\n"
    assert [fits(number, masks) for number in ("21000001", "KB0001", "31000001")] == [True, True, False]


@given(NUMBERS)
def test_every_number_fits_where_there_is_no_mask(number: str) -> None:
    assert [fits(number, text) for text in ("", " \n\n", "*")] == [True] * 3


@given(NUMBERS)
def test_number_as_its_own_mask_fits_itself_alone(number: str) -> None:
    assert problems(number) == []
    assert fits(number, number)
    assert not fits(number + "0", number)


@given(st.text(max_size=60), NUMBERS)
def test_any_text_is_answered(text: str, number: str) -> None:
    assert fits(number, text) in (True, False)
    assert all(1 <= problem.line <= len(text.splitlines()) for problem in problems(text))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("21######\n\n@@##*", []),
        ("21##\n2*1", [Problem(2, Flaw.STAR_INSIDE)]),
        ("21**", [Problem(1, Flaw.STAR_INSIDE)]),
        ("21 ##\n[0-9]+\n21-##", [Problem(1, Flaw.BAD_SIGN), Problem(2, Flaw.BAD_SIGN), Problem(3, Flaw.BAD_SIGN)]),
        ("#" * 40, []),
        ("#" * 41, [Problem(1, Flaw.TOO_LONG)]),
        ("21##\n" * 20, []),
        ("21##\n\n" * 21, [Problem(41, Flaw.TOO_MANY)]),
    ],
)
def test_problems_are_told_by_their_line(text: str, found: list[Problem]) -> None:
    assert problems(text) == found


def test_no_mask_takes_long() -> None:
    start = time.perf_counter()
    assert not fits("1" * 40, "#" * 39 + "@\n" + ("1*" * 400))
    assert time.perf_counter() - start < 0.1


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        ("79927398713", True),
        ("79927398710", False),
        ("21000000000013", True),
        ("12000000000013", False),
        ("7992739871A", False),
        ("0", False),
        ("", False),
    ],
)
def test_check_digit_is_that_of_luhn(number: str, answer: bool) -> None:
    assert has_check_digit(number, "luhn") is answer


@given(st.from_regex(r"[0-9]{2,30}", fullmatch=True))
def test_exactly_one_last_digit_is_right(number: str) -> None:
    assert sum(has_check_digit(number + str(digit), "luhn") for digit in range(10)) == 1


def test_every_rule_of_an_institution_is_known() -> None:
    assert [has_check_digit("79927398710", kind) for kind in Institution.CheckDigit.values] == [True, False]
