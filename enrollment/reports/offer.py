"""What is on offer today: the courses of all open programmes, each once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from django.db.models import F
from django.db.models.functions import Greatest
from django.utils.translation import gettext_lazy as _

from catalog.models import Area, Course, Listing, Programme

NEW_FOR = timedelta(days=30)
WARN_BEFORE = timedelta(days=30)
SHORT_LEVELS = {
    Course.Level.STARTER: _("for beginners"),
    Course.Level.ADVANCED: _("for those with experience"),
    Course.Level.A1: _("level A1"),
    Course.Level.A2: _("level A2"),
    Course.Level.B1: _("level B1"),
    Course.Level.B2: _("level B2"),
}
LEVELS = {
    Course.Level.STARTER: _("For beginners: you do not need to know anything yet."),
    Course.Level.ADVANCED: _("For people who know the basics and want more."),
    Course.Level.A1: _("Level A1: your first words and sentences."),
    Course.Level.A2: _("Level A2: simple talks about everyday things."),
    Course.Level.B1: _("Level B1: you can manage in most situations."),
    Course.Level.B2: _("Level B2: you speak and write with ease."),
}


@dataclass(frozen=True)
class Offer:
    """A course with the time it can be followed without a break. `until` is the first day it is gone. A module has days
    of its own: the course may have been there before, and may stay."""

    course: Course
    day: date
    since: date
    until: date | None
    module: Listing | None
    programmes: frozenset[int]

    @property
    def is_module(self) -> bool:
        return self.module is not None

    @property
    def news_since(self) -> date:
        return self.module.offered_from if self.module else self.since

    @property
    def is_coming(self) -> bool:
        return self.since > self.day

    @property
    def is_new(self) -> bool:
        return self.day - self.since < NEW_FOR

    @property
    def leaves_soon(self) -> bool:
        return self.until is not None and self.until - self.day <= WARN_BEFORE

    @property
    def last_day(self) -> date | None:
        return self.until and self.until - timedelta(days=1)

    @property
    def level(self) -> str:
        return str(SHORT_LEVELS.get(Course.Level(self.course.level), self.course.level))

    @property
    def level_in_words(self) -> str:
        return level_in_words(self.course)


def level_in_words(course: Course) -> str:
    return str(LEVELS.get(Course.Level(course.level), course.level))


def on_offer(day: date, *, among: Collection[int] | None = None) -> list[Offer]:
    """With one query, in the order of the areas and then of the titles; of these courses only, or of all."""
    open_programmes = Programme.objects.open_on(day)
    listings = Listing.objects.on_offer(day).filter(programme__in=open_programmes).with_courses()
    if among is not None:
        listings = listings.filter(course__in=among)
    by_course: dict[int, list[Listing]] = {}
    for listing in listings:
        by_course.setdefault(listing.course_id, []).append(listing)
    return [_offer(found, day) for found in by_course.values()]


def coming(course: Course, day: date) -> Offer | None:
    """Of a course that is not on offer: as it is planned to come next. With one query, and one more if it comes."""
    opens = Greatest("offered_from", "programme__opens_on")
    listings = Listing.objects.filter(course=course).annotate(opens=opens).filter(opens__gt=day)
    planned = listings.exclude(offered_until__lte=F("opens")).exclude(programme__closes_on__lte=F("opens"))
    first = planned.order_by("opens").values_list("opens", flat=True).first()
    found = on_offer(first, among=[course.pk]) if first else []
    return replace(found[0], day=day, since=first) if first and found else None


def areas_of(offers: Iterable[Offer]) -> list[tuple[Area, int]]:
    """The areas with something on offer, each with the number of its courses."""
    offers = list(offers)
    counts = Counter(offer.course.area_id for offer in offers)
    areas = {offer.course.area_id: offer.course.area for offer in offers}
    return [(area, counts[pk]) for pk, area in areas.items()]


def one_of_each_area(offers: Sequence[Offer], *, at_most: int) -> list[Offer]:
    """A few to show, the richest areas first."""
    first = {offer.course.area_id: offer for offer in reversed(offers) if not offer.is_module}
    richest = Counter(offer.course.area_id for offer in offers).most_common()
    return [first[pk] for pk, _count in richest if pk in first][:at_most]


def module_of_the_month(offers: Iterable[Offer]) -> Offer | None:
    return max((offer for offer in offers if offer.is_module), key=lambda offer: offer.news_since, default=None)


def _offer(listings: Sequence[Listing], day: date) -> Offer:
    ends = [listing.unbroken_until for listing in listings]
    modules = [listing for listing in listings if listing.role == Listing.Role.MODULE]
    return Offer(
        course=listings[0].course,
        day=day,
        since=min(listing.unbroken_from for listing in listings),
        until=None if None in ends else max(end for end in ends if end),
        module=max(modules, key=lambda listing: listing.offered_from, default=None),
        programmes=frozenset(listing.programme_id for listing in listings),
    )
