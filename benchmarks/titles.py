"""A catalog to search in, and what people type to find something there."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from django.db import connection
from django.utils import timezone

from benchmarks.rows import make_pool
from catalog.models import Area, Course, Listing, Programme, Synonym
from enrollment.reports.finding import Wish

SEARCHES, BATCH = 400, 5_000
AREAS = ("languages", "office", "digital", "time", "health", "communication", "creative", "home")
SYLLABLES = (
    "ba be bo da de do fa fi ga ge ka ke ko la le li ma me mi na ne no pa pe po ra re ri sa se ta te to va ve wa"
)
LEVELS = ("voor beginners", "voor gevorderden", "in de praktijk", "stap voor stap", "pour débutants", "for everyone")


def words_of(dice: random.Random, count: int) -> list[str]:
    """Made up, each sure to be another."""
    syllables = SYLLABLES.split()
    return sorted({"".join(dice.choices(syllables, k=dice.randint(2, 4))) for _ in range(count)})


def make_courses(programme: Programme, size: int, *, start: int, dice: random.Random, words: list[str]) -> None:
    areas = list(Area.objects.order_by("pk"))

    def title() -> str:
        return f"{' '.join(dice.choices(words, k=2)).capitalize()} {dice.choice(LEVELS)}"

    for first in range(start, size, BATCH):
        courses = Course.objects.bulk_create(
            Course(
                provider_id=programme.provider_id,
                code=f"C-{number}",
                slug=f"course-{number}",
                area=dice.choice(areas),
                title=title(),
                language=dice.choice(["nl", "nl", "fr", "en"]),
                level=dice.choice(Course.Level.values),
                hours=dice.randint(1, 40),
                description_nl=" ".join(dice.choices(words, k=25)),
                description_fr=" ".join(dice.choices(words, k=25)),
            )
            for number in range(first, min(first + BATCH, size))
        )
        since = timezone.localdate() - timedelta(days=100)
        Listing.objects.bulk_create(Listing(programme=programme, course=each, offered_from=since) for each in courses)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def searches(dice: random.Random) -> Iterator[Wish]:
    """What people type: words of a title, the start of one, one that many courses have, one with an error, one of
    another language, with and without a choice."""
    titles = list(Course.objects.order_by("?").values_list("title", flat=True)[:SEARCHES])
    for number, title in enumerate(titles):
        first, second, *rest = title.split()
        spoiled = first[:2] + first[3] + first[2] + first[4:] if len(first) > 4 else first
        words = (first, f"{first} {second}", second[:4], rest[-1], spoiled, "espagnol", title, f"{second} {rest[-1]}")
        wish = Wish(words=words[number % len(words)])
        yield replace(wish, area=dice.choice(AREAS), language="nl") if number % 3 == 0 else wish


def make_programme(words: list[str]) -> Programme:
    Area.objects.bulk_create(
        Area(slug=slug, name_nl=slug, name_fr=slug, name_en=slug, position=place) for place, slug in enumerate(AREAS)
    )
    Synonym.objects.create(words=f"{words[0]}, espagnol, Spanish")
    with connection.cursor() as cursor:  # no programme has as many core titles
        cursor.execute("ALTER TABLE catalog_listing DISABLE TRIGGER listing_core_titles_at_once")
    return make_pool("search", cap=1).programme
