"""Card numbers as they are kept, and the one kind of number that must never be kept."""

from __future__ import annotations

import re
import unicodedata

MAX_LENGTH = 40
# What people type is longer than the number by its separators, but not endlessly.
_MAX_TYPED = 200
_NORMAL = re.compile(r"[0-9A-Za-z]+")
_SEPARATORS = frozenset("./\\_*,:'’")
_CHAIN = re.compile(r"[0-9](?:[\W_]{0,5}[0-9])*")
_DIGITS = re.compile(r"[0-9]+")


class InvalidNumber(ValueError):
    """`code` is one of empty, too_long, bad_characters, national_number."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def normalize(text: str) -> str:
    """The number as the database holds it: 1 to 40 of 0-9 and A-Z.

    Full-width digits and letters become plain ones. Digits of other scripts are refused, not translated: no card
    bears them, and two spellings of one number must never be two numbers. Raises `InvalidNumber`.
    """
    text = text.strip()
    if not (text.isascii() and text.isalnum()):
        text = _without_separators(text)
    _require_storable(text)
    return text.upper()


def is_national_number(text: str) -> bool:
    """Whether the text is a Belgian national register number or BIS number, however it is punctuated.

    Eleven digits: YYMMDD, a serial number, and 97 minus the remainder of the first nine by 97 (with a 2 before them
    for people born since 2000). A BIS number has 20 or 40 added to its month; month and day are 0 where unknown.
    About 1 in 400 card numbers of eleven digits passes by chance, and is refused with the others: the two cannot be
    told apart, and keeping somebody's national number is worse than sending one member to the desk.
    """
    digits = "".join(character for character in _plain_digits(text) if character.isalnum())
    return _passes(digits)


def contains_national_number(text: str) -> bool:
    """The same for free text: any eleven digits in a row, or in groups at most five separators apart."""
    chains = (_DIGITS.findall(chain) for chain in _CHAIN.findall(_plain_digits(text)))
    return any(_passes(digits) for groups in chains for digits in _elevens(groups))


def _require_storable(text: str) -> None:
    if not text:
        raise InvalidNumber("empty")
    if not _NORMAL.fullmatch(text):
        raise InvalidNumber("bad_characters")
    if len(text) > MAX_LENGTH:
        raise InvalidNumber("too_long")
    if _passes(text) or (not text.isdigit() and contains_national_number(text)):
        raise InvalidNumber("national_number")


def _without_separators(text: str) -> str:
    if len(text) > _MAX_TYPED:
        raise InvalidNumber("too_long")
    if contains_national_number(text):
        raise InvalidNumber("national_number")
    return "".join(character for character in unicodedata.normalize("NFKC", text) if not _is_separator(character))


def _is_separator(character: str) -> bool:
    """Spaces of every width, dashes of every length, and marks that cannot be seen, such as a right-to-left mark."""
    return (
        character in _SEPARATORS
        or character.isspace()
        or unicodedata.category(character) in ("Pd", "Cf")
        or character == "\N{MINUS SIGN}"
    )


def _plain_digits(text: str) -> str:
    """Digits of every script as 0-9, so that no spelling of a national number slips through."""
    if text.isascii():
        return text
    seen = (character for character in unicodedata.normalize("NFKC", text) if unicodedata.category(character) != "Cf")
    return "".join(str(unicodedata.decimal(character, character)) for character in seen)


def _elevens(groups: list[str]) -> list[str]:
    """Every eleven digits that begin and end with a group."""
    found = []
    for start in range(len(groups)):
        digits = ""
        for group in groups[start:]:
            digits += group
            if len(digits) >= 11:
                break
        found.append(digits)
    return found


def _passes(digits: str) -> bool:
    if len(digits) != 11 or not (digits.isascii() and digits.isdigit()):
        return False
    month, day, first, check = int(digits[2:4]), int(digits[4:6]), int(digits[:9]), int(digits[9:])
    plausible = month % 20 <= 12 and month <= 52 and day <= 31
    return plausible and check in (97 - first % 97, 97 - (2_000_000_000 + first) % 97)
