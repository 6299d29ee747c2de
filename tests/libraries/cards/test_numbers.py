from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libraries.cards.numbers import InvalidNumber, contains_national_number, is_national_number, normalize

# 18 May 1993 and 17 May 2003, with the check digits of their centuries; a BIS number of each kind.
BORN_BEFORE_2000 = "93051822361"
BORN_SINCE_2000 = "03051712376"
CODES = {"empty", "too_long", "bad_characters", "national_number"}


def with_check(first_nine: str, *, since_2000: bool = False) -> str:
    base = int(("2" if since_2000 else "") + first_nine)
    return f"{first_nine}{97 - base % 97:02d}"


def number_or_code(text: str) -> str:
    try:
        return normalize(text)
    except InvalidNumber as refused:
        return refused.code


def code_of(text: str) -> str:
    with pytest.raises(InvalidNumber) as refused:
        normalize(text)
    return refused.value.code


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("2100012345678", "2100012345678"),
        ("  2100 0123 45678 ", "2100012345678"),
        ("21-0001.2345/678", "2100012345678"),
        ("*2100012345678*", "2100012345678"),
        ("21\N{NO-BREAK SPACE}0001\N{NARROW NO-BREAK SPACE}23", "21000123"),
        ("21\N{EN DASH}00\N{MINUS SIGN}01\N{NON-BREAKING HYPHEN}23", "21000123"),
        ("\N{RIGHT-TO-LEFT MARK}21000123\N{ZERO WIDTH SPACE}", "21000123"),
        ("\N{FULLWIDTH DIGIT TWO}\N{FULLWIDTH DIGIT ONE}0001", "210001"),
        ("ant-b 0042", "ANTB0042"),
        ("0001", "0001"),
        ("A" * 40, "A" * 40),
        (" ".join("1" * 40), "1" * 40),
    ],
)
def test_number_is_normalized(typed: str, number: str) -> None:
    assert normalize(typed) == number


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("", "empty"),
        (" \t\N{NO-BREAK SPACE}", "empty"),
        (" - . / ", "empty"),
        ("1" * 41, "too_long"),
        (" " * 150 + "1" * 41, "too_long"),
        ("1 " * 101, "too_long"),
        ("1" * 10_000, "too_long"),
        ("2100é", "bad_characters"),
        ("21\N{ARABIC-INDIC DIGIT ONE}0", "bad_characters"),
        ("straße1", "bad_characters"),
        ("d\N{LATIN SMALL LETTER DOTLESS I}1", "bad_characters"),
        ("1,23457E+12", "bad_characters"),
        ("=1", "bad_characters"),
        ("12\x0034", "bad_characters"),
        ("\N{GRINNING FACE}", "bad_characters"),
    ],
)
def test_number_that_cannot_be_one_is_refused_with_a_code(typed: str, code: str) -> None:
    assert code_of(typed) == code


@pytest.mark.parametrize(
    "typed",
    [
        BORN_BEFORE_2000,
        BORN_SINCE_2000,
        "93.05.18-223.61",
        "93 05 18 223 61",
        "93/05/18-223/61",
        "930518-223-61",
        "9\N{ZERO WIDTH SPACE}3051822361",
        "93\N{NO-BREAK SPACE}05\N{NO-BREAK SPACE}18\N{EN DASH}223.61",
        "93.05.18  —  223.61",
        "".join(chr(0xFF10 + int(digit)) for digit in BORN_BEFORE_2000),
        "".join(chr(0x0660 + int(digit)) for digit in BORN_BEFORE_2000),
        with_check("932518223"),
        with_check("934518223"),
        with_check("034517123", since_2000=True),
        with_check("930000223"),
        with_check("930100223"),
    ],
)
def test_national_number_is_known_in_any_form(typed: str) -> None:
    assert is_national_number(typed)
    assert contains_national_number(f"Mijn nummer: {typed}, alvast dank")
    assert code_of(typed) == "national_number"


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "93051822360",
        "9305182236",
        "930518223610",
        with_check("931318223"),
        with_check("935318223"),
        with_check("930532223"),
        "2100012345678",
        "BE68 5390 0754 7034",
        "0475 12 34 56",
    ],
)
def test_other_number_is_no_national_number(typed: str) -> None:
    assert not is_national_number(typed)
    assert not contains_national_number(f"Mijn nummer: {typed}, alvast dank")


def test_national_number_is_found_among_other_digits() -> None:
    assert contains_national_number("tel. 0475 12 34 56 / 93.05.18-223.61")
    assert contains_national_number("RR93051822361BE")
    assert code_of("RR93051822361") == "national_number"
    assert not contains_national_number(f"1{BORN_BEFORE_2000}")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_normalizing_ends_in_a_number_the_database_takes_or_in_a_code(text: str) -> None:
    outcome = number_or_code(text)
    if outcome not in CODES:
        assert normalize(outcome) == outcome
        assert set(outcome) <= set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        assert 1 <= len(outcome) <= 40


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 99), st.integers(1, 12), st.integers(1, 28), st.integers(1, 997), st.booleans())
def test_every_national_number_is_refused(year: int, month: int, day: int, serial: int, since_2000: bool) -> None:
    number = with_check(f"{year:02d}{month:02d}{day:02d}{serial:03d}", since_2000=since_2000)
    assert is_national_number(f"{number[:2]}.{number[2:4]}.{number[4:6]}-{number[6:9]}.{number[9:]}")
    assert code_of(number) == "national_number"
