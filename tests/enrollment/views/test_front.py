"""The front page says what is true about the places, in words; and costs the same with much as with little."""

import re
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from django.test import Client
from django.utils import translation
from django.utils.formats import date_format

from catalog.models import Listing
from enrollment.models import Enrollment, SeatPool
from enrollment.reports.availability import Availability, availability
from tests.enrollment.views.shelf_of_courses import days_from_now, make_course, offer_course
from tests.factories import make_institution, make_library, make_member, make_programme

pytestmark = pytest.mark.django_db

QUERIES = 5  # pools, lines, listings, institutions, libraries


def words(client: Client, address: str = "/en/") -> str:
    """The page as it is read: without markup, and with single spaces."""
    response = client.get(address)
    assert response.status_code == 200
    main = response.content.decode().split("<main", 1)[1].split("</main>", 1)[0]
    return " ".join(re.sub(r"<[^>]+>", " ", main).replace("&amp;", "&").split())


def test_front_says_how_many_places_are_free(client: Client) -> None:
    library = make_library()
    make_member(programme=make_programme(cap=2000), library=library)
    text = words(client)
    assert "places free 1,999" in text
    assert "of 2,000 places taken 1" in text
    assert "library takes part 1" in text
    assert "Apply for your place" in text


def test_front_says_that_all_is_taken_and_who_waits(client: Client) -> None:
    library = make_library()
    programme = make_programme(cap=1)
    make_member(programme=programme, library=library)
    make_member("bo@example.test", programme=programme, library=library)
    text = words(client)
    assert "All places are taken; 1 person waits. Join the queue" in text
    assert "Apply for your place" not in text


def test_front_says_that_all_is_taken_and_nobody_waits(client: Client) -> None:
    library = make_library()
    make_member(programme=make_programme(cap=1), library=library)
    assert "All places are taken; nobody waits yet." in words(client)


@pytest.mark.parametrize("ending", [0, 1])
def test_front_says_until_when_one_can_apply(ending: int, client: Client) -> None:
    """Of the programme that leads, and of the others."""
    for number in (0, 1):
        closes_on = days_from_now(20) if number == ending else None
        make_programme(f"programme-{number}", opens_on=date(2019 + number, 7, 1), closes_on=closes_on)
    with translation.override("en"):
        day = date_format(days_from_now(20), "j F Y")
    assert words(client).count(f"From {day} on you can no longer apply.") == 1


def test_a_newcomer_counts_on_nothing_while_somebody_is_in_line() -> None:
    library = make_library()
    programme = make_programme(cap=1)
    make_member(programme=programme, library=library)
    make_member("bo@example.test", programme=programme, library=library)
    SeatPool.objects.update(cap=5)  # not yet given out
    pool = SeatPool.objects.get()
    assert availability(pool) == Availability(cap=5, taken=1, free=0, waiting=1)
    Enrollment.objects.waiting().update(passed_over=True)
    assert availability(pool) == Availability(cap=5, taken=1, free=4, waiting=0)


def test_places_are_counted_to_the_lower_of_cap_and_plan() -> None:
    pool = make_programme(cap=10).pool
    pool.planned_cap = 3
    pool.save()
    assert availability(pool) == Availability(cap=3, taken=0, free=3, waiting=0)


def test_front_shows_areas_module_and_libraries(client: Client) -> None:
    make_library("Permeke", city="Antwerpen", postal_code="2060")
    programme = make_programme()
    offer_course(programme, make_course())
    module = make_course("Energie besparen thuis", area="home", level="starter", hours=2)
    offer_course(
        programme, module, role=Listing.Role.MODULE, offered_from=days_from_now(-3), offered_until=days_from_now(9)
    )
    text = words(client)
    assert "en languages 1 course" in text
    assert "Module of the month Energie besparen thuis en home, for beginners, 2 hours." in text
    assert "Permeke, 2060 Antwerpen" in text


def test_front_tells_only_of_institutions_that_take_part(client: Client) -> None:
    make_programme(institutions=[make_library("Permeke").institution])
    make_library("Elsewhere", make_institution("gent"))
    assert "Elsewhere" not in words(client)


def test_front_shows_several_programmes(client: Client) -> None:
    make_programme()
    make_programme("second", name="Second shelf", cap=7)
    text = words(client)
    assert "Second shelf 7 of 7 places are free. Apply for Second shelf" in text
    assert 'href="/en/join/?programme=second"' in client.get("/en/").content.decode()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"opens_on": days_from_now(3)}, "Leerkaart is not open yet."),
        ({"opens_on": days_from_now(-30), "closes_on": days_from_now(0)}, "You can no longer apply for Leerkaart."),
    ],
)
def test_front_says_when_a_programme_is_closed(client: Client, fields: dict[str, Any], sentence: str) -> None:
    make_programme(**fields)
    assert sentence in words(client)


def test_front_without_any_programme_still_answers(client: Client) -> None:
    assert "There are no courses at the moment" in words(client)


def test_front_costs_the_same_with_much_as_with_little(
    client: Client, django_assert_num_queries: Callable[[int], Any]
) -> None:
    make_library()
    programme = make_programme()
    with django_assert_num_queries(QUERIES):
        client.get("/")
    for number in range(12):
        make_library(f"Library {number}", make_institution(f"institution-{number}"))
        offer_course(programme, make_course(f"Course {number}", area=f"area-{number}"))
        make_programme(f"programme-{number}")
    with django_assert_num_queries(QUERIES):
        client.get("/")


def test_figures_are_written_as_each_language_does() -> None:
    from enrollment.templatetags.shelf import number

    written = {}
    for language in ("nl", "fr", "en"):
        with translation.override(language):
            written[language] = number(1412)
    assert written == {"nl": "1\u202f412", "fr": "1\u202f412", "en": "1,412"}
