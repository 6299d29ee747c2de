"""Finds courses by words: in title, area, descriptions and synonyms, in three languages, forgiving of typing errors."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.db import OperationalError, connection, transaction

from catalog.models import CatalogChange

# Of what is typed, so much is read; and of courses that fit, so many are looked at.
MOST_LETTERS, MOST_WORDS, MOST_HITS = 100, 8, 500
# For so many others a word that is in no course is taken at most; with fewer letters it may still become anything.
MOST_GUESSES, FEWEST_LETTERS = 3, 4
LETTERS_FOR_TWO_ERRORS = 6  # with fewer, two errors make it quite another word
NEARLY_AS_ALIKE = 0.75  # as the word that looks most like it
LOCK_TIMEOUT = "5s"
_BEST = 1000.0  # a rank that no other reaches

# Does any word begin so? Asked for what lies between, which an index knows; for LIKE it would have to know the pattern.
_WORDS = """
SELECT word, tsvector_to_array(catalog_lexemes(word)), EXISTS (
    SELECT FROM catalog_searchword known
    WHERE known.word ~>=~ typed.word AND known.word ~<~ (typed.word || chr(1114111))
)
FROM unnest(string_to_array(catalog_plain(%(words)s), ' ')) WITH ORDINALITY typed (word, place)
ORDER BY place LIMIT %(most)s
"""
_NEAR = """
SELECT word, similarity(word, %(word)s) AS likeness FROM catalog_searchword WHERE word %% %(word)s
ORDER BY likeness DESC, word LIMIT 30
"""
_FORGET_WORDS = """
DELETE FROM catalog_searchword known WHERE NOT EXISTS (
    SELECT FROM catalog_coursedocument document WHERE document.words @@ to_tsquery('simple', known.word)
)
"""
# A constant, so that the planner knows how many courses fit.
_WISH = "to_tsquery('simple', %(wish)s)"
# A course in two programmes comes twice. Who has the very title is not lost where too many fit.
_HITS = """
WITH on_offer AS NOT MATERIALIZED (
    SELECT document.*, listing.unbroken_from, listing.unbroken_until
    FROM catalog_coursedocument document
    JOIN catalog_listing listing ON listing.course_id = document.course_id
    JOIN catalog_programme programme ON programme.id = listing.programme_id
    WHERE listing.offered_from <= %(day)s AND (listing.offered_until IS NULL OR listing.offered_until > %(day)s)
    AND programme.opens_on <= %(day)s AND (programme.closes_on IS NULL OR programme.closes_on > %(day)s)
    {narrow} AND {fits}
)
SELECT course_id, area_id, level, language, hours, unbroken_from, unbroken_until, title, rank FROM (
    (SELECT on_offer.*, %(best)s AS rank FROM on_offer WHERE title = %(title)s LIMIT 100)
    UNION ALL
    (SELECT on_offer.*, {rank} AS rank FROM on_offer LIMIT %(most)s)
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
    """As it was typed, without accents and capitals; its stems in the languages; and what it may have meant, if no
    course has it. All are letters and digits only, as `catalog_plain` leaves them."""

    typed: str
    stems: list[str]
    guesses: list[str]

    def query(self, *, alone: bool) -> str:
        """What begins with the word, since it may not be typed to its end, or has a stem of it. A single letter among
        other words ("d'été") is no beginning of one. Nothing is asked for twice: the planner would think that twice as
        many courses fit, and go through all of them."""
        begins = f"{self.typed}:*" if alone or len(self.typed) > 1 else self.typed
        stems = [stem for stem in self.stems if not stem.startswith(self.typed)]
        return f"({' | '.join([begins, *stems, *self.guesses])})"


def cleaned(words: str) -> str:
    """What is looked for of what was typed: no more than can be meant, and nothing that the database refuses."""
    return words[:MOST_LETTERS].replace("\x00", " ").encode(errors="ignore").decode().strip()


def search(words: str, *, day: date, narrow: Narrow | None = None, any_word: bool = False) -> Found:
    """With two queries (one without words); two more for each word that is in no course. `any_word`: one of the words
    is enough."""
    asked = _asked(words)
    if words and not asked:
        return Found()
    wish = (" | " if any_word else " & ").join(word.query(alone=len(asked) == 1) for word in asked)
    conditions, limits = _narrowed(narrow or Narrow())
    fits, rank = (f"words @@ {_WISH}", f"ts_rank(title_words, {_WISH})") if asked else ("true", "0")
    title = " ".join(word.typed for word in asked)
    with connection.cursor() as cursor:
        cursor.execute(
            _HITS.format(fits=fits, rank=rank, narrow=conditions),
            {**limits, "wish": wish, "day": day, "title": title, "best": _BEST, "most": MOST_HITS + 1},
        )
        rows = cursor.fetchall()
    guessed = {word.typed: word.guesses for word in asked if word.guesses}
    return Found(_ranked(rows, title), guessed, is_cut=len(rows) > MOST_HITS)


def tidy(*, now: datetime) -> None:
    """Forget words that no course has any more, and changes of the catalog that nobody can have seen the other side of.
    The version becomes another by it, and pages are made anew. Whoever adds courses meanwhile waits; where one of them
    takes too long, the words stay until the next time."""
    CatalogChange.objects.filter(at__lt=now - timedelta(days=1)).delete()
    with suppress(OperationalError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])
        # A course that is not committed yet may have a word that no other has any more.
        cursor.execute("LOCK TABLE catalog_searchword IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute(_FORGET_WORDS)


def _asked(words: str) -> list[Word]:
    words = cleaned(words)
    if not words:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_WORDS, {"words": words, "most": MOST_WORDS})
        typed = cursor.fetchall()
    return [Word(word, stems, [] if is_known else _near(word)) for word, stems, is_known in typed if word]


def _near(word: str) -> list[str]:
    """The words of the catalog with the fewest errors between, if they are few enough, and of those the likest. With
    letters in another order few groups of three are the same, so that many are fetched and compared more closely."""
    if len(word) < FEWEST_LETTERS:
        return []
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL pg_trgm.similarity_threshold = 0.2")
        cursor.execute(_NEAR, {"word": word})
        near = [(_errors(word, other), likeness, other) for other, likeness in cursor.fetchall()]
    fewest = min((errors for errors, _likeness, _other in near), default=0)
    if fewest > (1 if len(word) < LETTERS_FOR_TWO_ERRORS else 2):
        return []
    nearest = [(likeness, other) for errors, likeness, other in near if errors == fewest]
    return [other for likeness, other in nearest if likeness >= nearest[0][0] * NEARLY_AS_ALIKE][:MOST_GUESSES]


def _errors(typed: str, meant: str) -> int:
    """Letters too many, missing, wrong, or that have changed places with the next."""
    earlier, above, row = [0], [0], list(range(len(meant) + 1))
    for i, letter in enumerate(typed, 1):
        earlier, above, row = above, row, [i]
        for j, other in enumerate(meant, 1):
            least = min(above[j] + 1, row[-1] + 1, above[j - 1] + (letter != other))
            if i > 1 and j > 1 and (typed[i - 2], letter) == (other, meant[j - 2]):
                least = min(least, earlier[j - 2] + 1)
            row.append(least)
    return row[-1]


def _narrowed(narrow: Narrow) -> tuple[str, dict[str, Any]]:
    hours = narrow.hours or range(0)
    conditions: dict[str, tuple[str, Any]] = {
        "area": ("document.area_id = %(area)s", narrow.area_id),
        "level": ("document.level = %(level)s", narrow.level or None),
        "language": ("document.language = %(language)s", narrow.language or None),
        "shortest": ("document.hours >= %(shortest)s", hours.start if hours else None),
        "longest": ("document.hours < %(longest)s", hours.stop if hours else None),
        "since": ("listing.unbroken_from >= %(since)s", narrow.since),
        "until": ("listing.unbroken_until <= %(until)s", narrow.until),
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
