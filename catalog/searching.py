"""Finds courses by words: in title, area, descriptions and synonyms, in three languages, forgiving of typing errors."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from difflib import get_close_matches
from typing import Any

from django.db import connection, transaction

from catalog.models import CatalogChange

# Of what is typed, so much is read; and of courses that fit, so many are looked at.
MOST_LETTERS, MOST_WORDS, MOST_HITS = 100, 8, 500
# A word that is in no course is taken for these at most, and only when they look so much like it.
MOST_GUESSES, LIKENESS = 3, 0.7
_BEST = 1000.0  # a rank that no other reaches

# Does any word begin so? Asked for what lies between, which an index knows; for LIKE it would have to know the pattern.
_WORDS = """
SELECT word, EXISTS (
    SELECT FROM catalog_searchword known
    WHERE known.word ~>=~ typed.word AND known.word ~<~ (typed.word || chr(1114111))
)
FROM unnest(string_to_array(catalog_plain(%(words)s), ' ')) WITH ORDINALITY typed (word, place)
ORDER BY place LIMIT %(most)s
"""
_NEAR = (
    "SELECT word FROM catalog_searchword WHERE word %% %(word)s ORDER BY similarity(word, %(word)s) DESC, word LIMIT 30"
)
_FORGET_WORDS = """
DELETE FROM catalog_searchword known WHERE NOT EXISTS (
    SELECT FROM catalog_coursedocument document WHERE document.words @@ to_tsquery('simple', known.word)
)
"""
# What begins with the word, since it may not be typed to its end, or has its stem in one of the languages.
_ONE_WORD = """(
    to_tsquery('simple', {lexemes}) || plainto_tsquery('dutch', {word}) || plainto_tsquery('french', {word})
    || plainto_tsquery('english', {word})
)"""
# A course in two programmes comes twice. Who has the very title is not lost where too many fit.
_HITS = """
WITH on_offer AS NOT MATERIALIZED (
    SELECT document.*, listing.offered_from, listing.offered_until
    FROM catalog_coursedocument document
    JOIN catalog_listing listing ON listing.course_id = document.course_id
    JOIN catalog_programme programme ON programme.id = listing.programme_id
    WHERE listing.offered_from <= %(day)s AND (listing.offered_until IS NULL OR listing.offered_until > %(day)s)
    AND programme.opens_on <= %(day)s AND (programme.closes_on IS NULL OR programme.closes_on > %(day)s)
    {narrow}
)
SELECT course_id, area_id, level, language, hours, offered_from, offered_until, title, rank FROM (
    (SELECT on_offer.*, %(best)s AS rank FROM on_offer WHERE title = %(title)s AND {fits} LIMIT 100)
    UNION ALL
    (SELECT on_offer.*, {rank} AS rank FROM on_offer WHERE {fits} LIMIT %(most)s)
) hits
"""


@dataclass(slots=True)
class Hit:
    """A course on offer that fits the words. `until` is the first day it is gone. A higher rank fits better."""

    course_id: int
    area_id: int
    level: str
    language: str
    hours: int
    since: date
    until: date | None
    title: str
    rank: float


@dataclass(frozen=True)
class Narrow:
    """What else courses must be; only where more fit than are looked at."""

    area_id: int | None = None
    level: str = ""
    language: str = ""
    hours: range | None = None
    since: date | None = None
    until: date | None = None
    among: Collection[int] | None = None


@dataclass(frozen=True)
class Found:
    """The best hits first; without words, all that is on offer by title. `guessed` are words that are in no course,
    with those that were looked for in their place. `is_cut`: there may be more."""

    hits: list[Hit] = field(default_factory=list)
    guessed: dict[str, list[str]] = field(default_factory=dict)
    is_cut: bool = False


@dataclass(frozen=True)
class Word:
    """As it was typed, without accents and capitals; and what it may have meant, if no course has it."""

    typed: str
    guesses: list[str]

    def lexemes(self, *, alone: bool) -> str:
        """For `to_tsquery`: letters and digits only, as `catalog_plain` leaves them. A single letter among other words
        ("d'été") is no beginning of one."""
        begins = f"{self.typed}:*" if alone or len(self.typed) > 1 else self.typed
        return " | ".join([begins, *self.guesses])


def cleaned(words: str) -> str:
    """What is looked for of what was typed: no more than can be meant, and nothing that the database refuses."""
    return words[:MOST_LETTERS].replace("\x00", " ").encode(errors="ignore").decode().strip()


def search(words: str, *, day: date, narrow: Narrow | None = None, any_word: bool = False) -> Found:
    """With two queries (one without words); two more for each word that is in no course. `any_word`: one of the words
    is enough."""
    asked = _asked(words)
    if words and not asked:
        return Found()
    wish, values = _wish(asked, any_word)
    conditions, limits = _narrowed(narrow or Narrow())
    fits, rank = (f"words @@ ({wish})", f"ts_rank(title_words, {wish})") if asked else ("true", "0")
    title = " ".join(word.typed for word in asked)
    with connection.cursor() as cursor:
        cursor.execute(
            _HITS.format(fits=fits, rank=rank, narrow=conditions),
            {**values, **limits, "day": day, "title": title, "best": _BEST, "most": MOST_HITS + 1},
        )
        rows = cursor.fetchall()
    guessed = {word.typed: word.guesses for word in asked if word.guesses}
    return Found(_ranked(rows, title), guessed, is_cut=len(rows) > MOST_HITS)


def tidy(*, now: datetime) -> None:
    """Forget words that no course has any more, and changes of the catalog that nobody can have seen the other side of.
    The version becomes another by it, and pages are made anew."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET_WORDS)
    CatalogChange.objects.filter(at__lt=now - timedelta(days=1)).delete()


def _asked(words: str) -> list[Word]:
    words = cleaned(words)
    if not words:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_WORDS, {"words": words, "most": MOST_WORDS})
        typed = cursor.fetchall()
    return [Word(word, [] if is_known or len(word) < 3 else _near(word)) for word, is_known in typed if word]


def _near(word: str) -> list[str]:
    """Words of the catalog that look like this one. With letters in another order few groups of three are the same, so
    that many are fetched and compared more closely."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL pg_trgm.similarity_threshold = 0.2")
        cursor.execute(_NEAR, {"word": word})
        return get_close_matches(word, [near for (near,) in cursor.fetchall()], n=MOST_GUESSES, cutoff=LIKENESS)


def _wish(asked: Sequence[Word], any_word: bool) -> tuple[str, dict[str, Any]]:
    """Constants all, so that the planner knows how many courses fit."""
    places = range(len(asked))
    parts = [_ONE_WORD.format(word=f"%(word{place})s", lexemes=f"%(lexemes{place})s") for place in places]
    values = {f"word{place}": asked[place].typed for place in places}
    values |= {f"lexemes{place}": asked[place].lexemes(alone=len(asked) == 1) for place in places}
    return (" || " if any_word else " && ").join(parts), values


def _narrowed(narrow: Narrow) -> tuple[str, dict[str, Any]]:
    hours = narrow.hours or range(0)
    conditions: dict[str, tuple[str, Any]] = {
        "area": ("document.area_id = %(area)s", narrow.area_id),
        "level": ("document.level = %(level)s", narrow.level or None),
        "language": ("document.language = %(language)s", narrow.language or None),
        "shortest": ("document.hours >= %(shortest)s", hours.start if hours else None),
        "longest": ("document.hours < %(longest)s", hours.stop if hours else None),
        "since": ("listing.offered_from >= %(since)s", narrow.since),
        "until": ("listing.offered_until <= %(until)s", narrow.until),
        "among": ("document.course_id = ANY(%(among)s)", None if narrow.among is None else list(narrow.among)),
    }
    asked = {name: each for name, each in conditions.items() if each[1] is not None}
    return "".join(f"AND {sql} " for sql, _value in asked.values()), {name: each[1] for name, each in asked.items()}


def _ranked(rows: Iterable[tuple[Any, ...]], title: str) -> list[Hit]:
    """Each course once: the exact title, then what begins so, then by how much of the words the title has."""
    hits: dict[int, Hit] = {}
    for row in rows:
        hit = Hit(*row)
        known = hits.setdefault(hit.course_id, hit)
        if known is not hit:
            known.since = min(known.since, hit.since)
            known.until = known.until and hit.until and max(known.until, hit.until)
            known.rank = max(known.rank, hit.rank)
    return sorted(
        hits.values(),
        key=lambda hit: (hit.rank < _BEST, not hit.title.startswith(title), -hit.rank, hit.title, hit.course_id),
    )
