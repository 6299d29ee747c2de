"""Which numbers an institution's cards may have: masks that people write, one a line, and a check digit.

`#` is a digit, `@` a letter, `*` at the end any more of both; a digit or a letter stands for itself. No regular
expressions: a mask is read once from left to right, whatever somebody writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from string import ascii_uppercase, digits

from libraries.cards.numbers import MAX_LENGTH

MOST_LINES = 20
LUHN = "luhn"
_SIGNS = {"#": digits, "@": ascii_uppercase}
_PLAIN = frozenset(digits + ascii_uppercase)


class Flaw(StrEnum):
    TOO_MANY = "too_many"
    TOO_LONG = "too_long"
    BAD_SIGN = "bad_sign"
    STAR_INSIDE = "star_inside"


@dataclass(frozen=True)
class Problem:
    """`line` counts from 1, with the empty lines."""

    line: int
    flaw: Flaw


def problems(text: str) -> Sequence[Problem]:
    """What keeps these masks from being used, in the order of their lines; one for each line at most."""
    lines = list(enumerate(text.splitlines(), 1))
    written = [number for number, line in lines if line.strip()]
    found = [Problem(number, flaw) for number, line in lines if (flaw := _flaw(_clean(line)))]
    return found + [Problem(number, Flaw.TOO_MANY) for number in written[MOST_LINES : MOST_LINES + 1]]


def fits(number: str, text: str) -> bool:
    """Whether a normalized number fits one of the masks; every number does where there are none."""
    masks = [_clean(line) for line in text.splitlines() if line.strip()]
    return not masks or any(_fits(number, mask) for mask in masks)


def has_check_digit(number: str, kind: str) -> bool:
    """Whether the last digit of a normalized number is right by this rule; without a rule, it is."""
    return kind != LUHN or _passes_luhn(number)


def _clean(line: str) -> str:
    """Numbers are kept in capitals."""
    return line.strip().upper()


def _flaw(mask: str) -> Flaw | None:
    start = mask.removesuffix("*")
    if "*" in start:
        return Flaw.STAR_INSIDE
    if len(start) > MAX_LENGTH:
        return Flaw.TOO_LONG
    return None if all(sign in _SIGNS or sign in _PLAIN for sign in start) else Flaw.BAD_SIGN


def _fits(number: str, mask: str) -> bool:
    start = mask.removesuffix("*")
    long_enough = len(number) == len(start) or (len(number) > len(start) and mask.endswith("*"))
    return long_enough and all(
        character in _SIGNS.get(sign, sign) for sign, character in zip(start, number, strict=False)
    )


def _passes_luhn(number: str) -> bool:
    """ISO/IEC 7812: from the right, every second digit counts double, with its digits added."""
    if not (number.isascii() and number.isdigit()) or len(number) < 2:
        return False
    values = [int(digit) for digit in reversed(number)]
    return (sum(values[::2]) + sum(sum(divmod(2 * value, 10)) for value in values[1::2])) % 10 == 0
