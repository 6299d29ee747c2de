"""Find a library by a place, a postal code or its name, as people type them."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from libraries.models import Library

NEAREST = 6


@dataclass(frozen=True)
class Result:
    """`close`: nothing fits what was typed; these are the nearest."""

    libraries: Sequence[Library]
    close: bool = False


def search(libraries: Sequence[Library], words: str) -> Result:
    """All for no words, by place and name; otherwise what fits, or else what is nearest to it."""
    ordered = sorted(libraries, key=lambda library: (_plain(library.city), _plain(library.name)))
    wanted = _plain(words)
    if not wanted:
        return Result(ordered)
    fitting = [library for library in ordered if _fits(library, wanted)]
    return Result(fitting) if fitting else Result(_nearest(ordered, wanted), close=True)


def _fits(library: Library, wanted: str) -> bool:
    return all(any(part in text for text in _texts(library)) for part in wanted.split())


def _nearest(libraries: Sequence[Library], wanted: str) -> list[Library]:
    """For a postal code those with the nearest codes, otherwise names that look alike."""
    if wanted.isascii() and wanted.isdigit():
        return sorted(libraries, key=lambda library: abs(_number(library.postal_code) - _number(wanted)))[:NEAREST]
    alike = {library.pk: max(_likeness(text, wanted) for text in _texts(library)) for library in libraries}
    near = [library for library in libraries if alike[library.pk] >= 0.7]
    return sorted(near, key=lambda library: -alike[library.pk])[:NEAREST]


def _number(digits: str) -> int:
    return int(digits[:9]) if digits.isascii() and digits.isdigit() else 0


def _likeness(text: str, wanted: str) -> float:
    return max(difflib.SequenceMatcher(None, part, wanted).ratio() for part in (text, *text.split()))


def _texts(library: Library) -> tuple[str, ...]:
    return _plain(library.name), _plain(library.city), library.postal_code, _plain(library.institution.name)


def _plain(text: str) -> str:
    """Without accents, capitals and hyphens, so that "sint pieters" finds "Sint-Pieters-Leeuw"."""
    apart = unicodedata.normalize("NFKD", text.strip().replace("-", " "))
    return "".join(letter for letter in apart if not unicodedata.combining(letter)).casefold()
