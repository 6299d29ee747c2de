"""What the public pages show: areas, courses and their time on the shelf, for the tests of those pages."""

from datetime import date, timedelta
from typing import Any

from django.utils import timezone
from django.utils.text import slugify

from catalog.models import Area, Course, Listing, Programme
from tests.factories import make_provider


def days_from_now(days: int) -> date:
    return timezone.localdate() + timedelta(days=days)


def make_area(slug: str = "languages") -> Area:
    names = {"name_nl": f"nl {slug}", "name_fr": f"fr {slug}", "name_en": f"en {slug}"}
    return Area.objects.get_or_create(slug=slug, defaults=names)[0]


def make_course(title: str = "Spaans voor beginners", *, area: str = "languages", **fields: Any) -> Course:
    defaults = {"code": title, "language": "nl", "level": "A1", "hours": 20, **fields}
    return Course.objects.create(
        provider=make_provider(), slug=slugify(title), title=title, area=make_area(area), **defaults
    )


def offer_course(programme: Programme, course: Course, **fields: Any) -> Listing:
    defaults = {"offered_from": days_from_now(-100), **fields}
    return Listing.objects.create(programme=programme, course=course, **defaults)
