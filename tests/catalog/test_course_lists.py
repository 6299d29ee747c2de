"""A provider's list beside the courses here: new, changed, the same, gone; and taken in without deleting anything."""

from __future__ import annotations

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from catalog import course_lists
from catalog.course_files import Contents, Row
from catalog.course_lists import Comparison, Defaults
from catalog.models import Area, Course, Provider
from tests.enrollment.views.shelf_of_courses import make_area, make_course
from tests.factories import make_provider

pytestmark = pytest.mark.django_db

NONE = Defaults()


@pytest.fixture
def provider() -> Provider:
    Area.objects.create(slug="talen", name_nl="Talen", name_fr="Langues étrangères", name_en="Languages")
    return make_provider()


def row(code: str, title: str = "Spaans", **more: object) -> Row:
    told = {"area": "talen", "language": "nl", "level": "A1", "hours": 20, **more}
    return Row(line=int(code) + 1, code=code, title=title, **told)  # type: ignore[arg-type]


def compared(provider: Provider, *rows: Row, defaults: Defaults = NONE) -> Comparison:
    return course_lists.compare(provider, Contents(rows, []), defaults)


def taken_in(provider: Provider, *rows: Row, defaults: Defaults = NONE) -> Comparison:
    with transaction.atomic():
        comparison = compared(course_lists.lock(provider.pk), *rows, defaults=defaults)
        course_lists.take_in(comparison)
    return comparison


def told(comparison: Comparison) -> tuple[int, int, int, int, list[tuple[int, str]]]:
    sizes = (len(comparison.new), len(comparison.changed), comparison.same, len(comparison.gone))
    return (*sizes, list(comparison.rejected))


def test_new_changed_same_and_gone_are_told_apart(provider: Provider) -> None:
    taken_in(provider, row("1"), row("2", "Frans"), row("3", "Duits"))
    comparison = compared(provider, row("1"), row("2", "Frans!", hours=8), row("4", "Italiaans"))
    assert told(comparison) == (1, 1, 1, 1, [])
    assert [(course.code, list(fields)) for course, fields in comparison.changed] == [("2", ["title", "hours"])]
    assert [course.code for course in comparison.gone] == ["3"]


def test_list_is_taken_in_and_twice_is_once(provider: Provider) -> None:
    rows = [row("1"), row("2", "Frans", descriptions={"": "Tu apprends.", "nl": "Je leert."}, language="fr")]
    assert told(taken_in(provider, *rows)) == (2, 0, 0, 0, [])
    assert told(taken_in(provider, *rows)) == (0, 0, 2, 0, [])
    french = Course.objects.get(code="2")
    assert (french.slug, french.description_fr, french.description_nl) == ("frans", "Tu apprends.", "Je leert.")


def test_what_a_list_does_not_say_stays_as_it_is(provider: Provider) -> None:
    course = make_course("Spaans", code="1", description_nl="Je leert.", launch_url="https://x.example/1")
    taken_in(provider, Row(2, "1", "Spaans voor iedereen"))
    after = Course.objects.get()
    assert (after.pk, after.title, after.slug) == (course.pk, "Spaans voor iedereen", "spaans")
    assert (after.area, after.hours, after.description_nl, after.launch_url) == (
        course.area,
        20,
        "Je leert.",
        "https://x.example/1",
    )


@pytest.mark.parametrize("name", ["talen", "Talen", "LANGUES ETRANGERES", " languages "])
def test_area_is_found_by_its_slug_and_its_name_in_any_language(provider: Provider, name: str) -> None:
    assert [course.area.slug for course in compared(provider, row("1", area=name)).new] == ["talen"]


def test_new_title_needs_all_that_a_course_has_or_a_choice_for_it(provider: Provider) -> None:
    bare = [Row(number + 1, f"{number}", f"T{number}", **more) for number, more in enumerate(MISSING, start=1)]  # type: ignore[arg-type]
    assert [code for _line, code in compared(provider, *bare).rejected] == [
        "no_area",
        "no_language",
        "no_level",
        "no_hours",
        "unknown_area",
    ]
    chosen = Defaults(area_id=make_area("other").pk, language="en", level="starter", hours=3)
    made = compared(provider, *bare, defaults=chosen)
    assert [(course.language, course.level, course.hours) for course in made.new] == [("en", "starter", 3)] * 4
    assert made.rejected == [(6, "unknown_area")]


MISSING: list[dict[str, object]] = [
    {},
    {"area": "talen"},
    {"area": "talen", "language": "en"},
    {"area": "talen", "language": "en", "level": "starter"},
    {"area": "Nothing here", "language": "en", "level": "starter", "hours": 3},
]


def test_addresses_of_courses_are_unique_whatever_the_titles(provider: Provider) -> None:
    make_course("Spaans", code="0")
    other = make_provider("other", name="Other")
    taken_in(provider, row("1"), row("2"), row("3", "日本語"), row("4", "!!!"), row("5", "x" * 200))
    taken_in(other, row("1"), row("2"))
    slugs = list(Course.objects.order_by("provider_id", "code").values_list("slug", flat=True))
    assert slugs[:5] == ["spaans", "spaans-1", "spaans-2", "3", "4"]
    assert slugs[-2:] == ["spaans-3", "spaans-4"]
    assert len(set(slugs)) == len(slugs) == 8
    assert max(len(slug) for slug in slugs) <= 120


def test_code_belongs_to_its_provider(provider: Provider) -> None:
    make_course("Spaans", code="1")
    other = make_provider("other", name="Other")
    assert told(taken_in(other, row("1", "Iets anders"))) == (1, 0, 0, 0, [])
    assert Course.objects.get(provider=provider).title == "Spaans"


def test_questions_do_not_grow_with_the_list(provider: Provider) -> None:
    counts = []
    for size in (2, 200):
        with CaptureQueriesContext(connection) as queries:
            taken_in(provider, *(row(f"{number}", f"Titel {number}") for number in range(size)))
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert Course.objects.count() == 200


def test_fingerprint_is_that_of_what_would_be_done(provider: Provider) -> None:
    first = compared(provider, row("1")).fingerprint
    assert compared(provider, row("1")).fingerprint == first
    assert compared(provider, row("1", "Frans")).fingerprint != first
    taken_in(provider, row("1"))
    assert compared(provider, row("1")).fingerprint != first
