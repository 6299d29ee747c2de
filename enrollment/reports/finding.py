"""What a visitor looks for in the catalog, and what fits: courses, and how many each other choice would leave."""

from __future__ import annotations

from bisect import bisect
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, time, timedelta
from functools import cached_property
from itertools import chain
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from catalog import searching
from catalog.models import Area, Course
from catalog.searching import Found, Hit, Narrow
from enrollment.models import CourseRun
from enrollment.reports import offer
from enrollment.reports.offer import NEW_FOR, SHORT_LEVELS, WARN_BEFORE, Offer

ON_A_PAGE = 48
POPULAR_OF = timedelta(days=90)
# A course that fewer people started is not called popular: nobody is to be told of.
FEWEST_STARTS, MOST_POPULAR = 5, 24
LENGTHS = {"short": range(5), "medium": range(5, 11), "long": range(11, 32_768)}
_LENGTH, _LONGER = list(LENGTHS), [hours.start for hours in LENGTHS.values()][1:]
CHOICES: dict[str, dict[str, object]] = {
    "show": {"new": _("new"), "leaving": _("leaving soon"), "popular": _("popular")},
    "level": {str(level): label for level, label in SHORT_LEVELS.items()},
    "language": {"nl": _("Dutch"), "fr": _("French"), "en": _("English")},
    "length": {"short": _("up to 4 hours"), "medium": _("5 to 10 hours"), "long": _("more than 10 hours")},
}
LABELS = {
    "show": _("Which courses"),
    "area": _("Subject"),
    "level": _("Level"),
    "language": _("Language"),
    "length": _("Length"),
}


@dataclass(frozen=True)
class Wish:
    """What a visitor looks for; an empty word means anything."""

    words: str = ""
    show: str = ""
    area: str = ""
    level: str = ""
    language: str = ""
    length: str = ""
    page: int = 1

    @property
    def is_empty(self) -> bool:
        return replace(self, page=1) == Wish()

    @property
    def choices(self) -> dict[str, str]:
        """Those that were made."""
        return {name: value for name in LABELS if (value := getattr(self, name))}

    def query(self, **changes: Any) -> str:
        """As it stands in an address, with what is to be other; in one order, and without what is asked for anyway."""
        asked = asdict(self) | changes
        return urlencode({name: value for name, value in asked.items() if value and (name, value) != ("page", 1)})


@dataclass(frozen=True)
class Choice:
    value: str
    label: object
    count: int
    is_chosen: bool


@dataclass(frozen=True)
class Finding:
    """`total` courses fit, or more where `is_cut`; `offers` are those of this page."""

    wish: Wish
    offers: Sequence[Offer]
    total: int
    is_cut: bool
    counts: Mapping[str, Mapping[str, int]]
    guessed: Mapping[str, Sequence[str]]
    areas: Mapping[int, Area]
    alike: Sequence[Offer]
    without_choices: int

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // ON_A_PAGE))

    @property
    def earlier(self) -> str | None:
        return self.wish.query(page=self.wish.page - 1) if self.wish.page > 1 else None

    @property
    def later(self) -> str | None:
        return self.wish.query(page=self.wish.page + 1) if self.wish.page < self.pages else None

    @property
    def words_alone(self) -> str:
        return Wish(words=self.wish.words).query()

    @cached_property
    def fields(self) -> list[tuple[str, object, list[Choice]]]:
        """Name, label and choices of each filter; only choices that would find something, or that were made."""
        labels: dict[str, dict[str, object]] = {
            **CHOICES,
            "area": {area.slug: area.name for area in self.areas.values()},
        }
        return [(name, label, self._choices(name, labels[name])) for name, label in LABELS.items()]

    def _choices(self, name: str, labels: Mapping[str, object]) -> list[Choice]:
        counts, chosen = self.counts[name], getattr(self.wish, name)
        return [
            Choice(value, label, counts.get(value, 0), value == chosen)
            for value, label in labels.items()
            if counts.get(value) or value == chosen
        ]


def wish_of(asked: Mapping[str, str]) -> Wish:
    """What makes no sense is left out. Whether there is such an area is looked at by `find`."""
    chosen = {name: asked[name] for name, known in CHOICES.items() if asked.get(name) in known}
    page = asked.get("page", "")
    return Wish(
        words=searching.cleaned(asked.get("words", "")),
        area=asked.get("area", ""),
        page=int(page) if page.isdecimal() and len(page) < 5 and int(page) else 1,
        **chosen,
    )


def find(wish: Wish, *, day: date) -> Finding:
    """With four queries, and one more for words; a few more where nothing fits, or more than is looked at."""
    areas = {area.pk: area for area in Area.objects.all()}
    if wish.area not in {area.slug for area in areas.values()}:
        wish = replace(wish, area="")
    popular = _popular(day)
    traits = _Traits(areas, popular, day)
    found = searching.search(wish.words, day=day)
    fits, counts = traits.sifted(found.hits, wish.choices)
    if found.is_cut and wish.choices:
        narrowed = searching.search(wish.words, day=day, narrow=_narrow(wish, traits))
        fits, _counts = traits.sifted(narrowed.hits, wish.choices)
    fits = traits.ordered(fits, wish)
    wish = replace(wish, page=min(wish.page, max(1, -(-len(fits) // ON_A_PAGE))))
    shown = fits[(wish.page - 1) * ON_A_PAGE :][:ON_A_PAGE]
    return Finding(
        wish=wish,
        offers=_offers(shown, day),
        total=min(len(fits), searching.MOST_HITS),
        is_cut=len(fits) > searching.MOST_HITS,
        counts=counts,
        guessed=found.guessed,
        areas=dict(sorted(areas.items(), key=lambda each: each[1].position)),
        alike=[] if fits else _alike(wish, found, day),
        without_choices=0 if fits else min(len(found.hits), searching.MOST_HITS),
    )


class _Traits:
    """By what a course is chosen."""

    def __init__(self, areas: Mapping[int, Area], popular: Mapping[int, int], day: date) -> None:
        self.areas, self.popular, self.day = areas, popular, day

    def of(self, hit: Hit) -> dict[str, tuple[str, ...]]:
        show = {
            "new": self.day - hit.since < NEW_FOR,
            "leaving": hit.until is not None and hit.until - self.day <= WARN_BEFORE,
            "popular": hit.course_id in self.popular,
        }
        return {
            "show": tuple(name for name, holds in show.items() if holds),
            "area": (self.areas[hit.area_id].slug,),
            "level": (hit.level,),
            "language": (hit.language,),
            "length": (_LENGTH[bisect(_LONGER, hit.hours)],),
        }

    def sifted(self, hits: Sequence[Hit], chosen: Mapping[str, str]) -> tuple[list[Hit], dict[str, Counter[str]]]:
        """The hits that fit all choices; and for each value, how many there would be with it and the other choices."""
        told = [(hit, self.of(hit)) for hit in hits if hit.area_id in self.areas]  # one may be new this moment
        missed = [[name for name, value in chosen.items() if value not in traits[name]] for _hit, traits in told]
        rows = list(zip(told, missed, strict=True))
        counts = {
            name: Counter(
                chain.from_iterable(traits[name] for (_hit, traits), missing in rows if missing in ([], [name]))
            )
            for name in LABELS
        }
        return [hit for (hit, _traits), missing in rows if not missing], counts

    def ordered(self, hits: list[Hit], wish: Wish) -> list[Hit]:
        if wish.show == "new":
            return sorted(hits, key=lambda hit: hit.since, reverse=True)
        if wish.show == "leaving":
            return sorted(hits, key=lambda hit: hit.until or date.max)
        if wish.show == "popular":
            return sorted(hits, key=lambda hit: self.popular[hit.course_id], reverse=True)
        return hits if wish.words else sorted(hits, key=lambda hit: self.areas[hit.area_id].position)


def _narrow(wish: Wish, traits: _Traits) -> Narrow:
    return Narrow(
        area_id=next((pk for pk, area in traits.areas.items() if area.slug == wish.area), None),
        level=wish.level,
        language=wish.language,
        hours=LENGTHS.get(wish.length),
        since=traits.day - NEW_FOR if wish.show == "new" else None,
        until=traits.day + WARN_BEFORE if wish.show == "leaving" else None,
        among=list(traits.popular) if wish.show == "popular" else None,
    )


def _popular(day: date) -> dict[int, int]:
    """The courses that most people started of late, with how many. Of whole days: what is popular changes at night, and
    with the day the pages that are kept."""
    until = timezone.make_aware(datetime.combine(day, time()))
    lately = CourseRun.objects.filter(started_at__gte=until - POPULAR_OF, started_at__lt=until)
    started = lately.values("course_id").annotate(people=Count("pk"))
    most = started.filter(people__gte=FEWEST_STARTS).order_by("-people", "course_id")[:MOST_POPULAR]
    return dict(most.values_list("course_id", "people"))


def _offers(hits: Sequence[Hit], day: date) -> list[Offer]:
    known = {each.course.pk: each for each in offer.on_offer(day, among=[hit.course_id for hit in hits])}
    return [known[hit.course_id] for hit in hits if hit.course_id in known]


def _alike(wish: Wish, found: Found, day: date) -> list[Offer]:
    """For who finds nothing: what has one of the words."""
    if found.hits or not wish.words:
        return []
    return _offers(searching.search(wish.words, day=day, any_word=True).hits[:4], day)


def alike(course: Course, *, day: date, at_most: int = 4) -> list[Offer]:
    """Others of its area, those in the same language first. With two queries."""
    others = searching.search("", day=day, narrow=Narrow(area_id=course.area_id)).hits
    nearest = sorted(
        (hit for hit in others if hit.course_id != course.pk), key=lambda hit: hit.language != course.language
    )
    return _offers(nearest[:at_most], day)
