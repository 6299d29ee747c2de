"""Another card from my place: the library, the number, and everything stays as it is until the card is confirmed."""

from __future__ import annotations

from datetime import date

import pytest
from django.test import Client
from django.utils import timezone

from catalog.models import Programme
from enrollment import card_checking, ending
from enrollment.models import Enrollment
from libraries.models import Card, Institution, Library, User
from tests.enrollment.views.visiting import words_of
from tests.factories import make_institution, make_librarian, make_library, make_member, make_programme
from tests.rosters import put_on_roster

pytestmark = pytest.mark.django_db

State = Enrollment.State


@pytest.fixture
def halle() -> Library:
    return make_library("Bib Halle", make_institution("halle"))


@pytest.fixture
def programme(halle: Library) -> Programme:
    make_library()
    return make_programme(cap=1)


@pytest.fixture
def ada(programme: Programme) -> Enrollment:
    ada = make_member(programme=programme, library=make_library(), number="21000001")
    card_checking.confirm(card_id=ada.card_id, by=make_librarian(make_institution()), now=timezone.now())
    return ada


@pytest.fixture
def visit(ada: Enrollment) -> Client:
    client = Client()
    client.force_login(User.objects.get(email="ada@example.test"))
    return client


def on_the_list(library: Library) -> None:
    institution = library.institution
    institution.card_check = Institution.CardCheck.ROSTER
    institution.save()
    put_on_roster(institution, "31000001", "18/05/1990", valid_until=date(2099, 1, 1))


def address_of(enrollment: Enrollment) -> str:
    return f"/en/my/{enrollment.pk}/card/"


def test_new_number_waits_for_the_library_and_the_place_stays(visit: Client, ada: Enrollment) -> None:
    answer = visit.post(address_of(ada), {"number": "2100 0002"}, follow=True)
    assert answer.redirect_chain == [("/en/my/", 302)]
    text = words_of(answer)
    assert "Your library looks at your card. Until then everything stays as it is." in text
    assert "You gave another card: 21000002, Permeke." in text
    ada.refresh_from_db()
    assert (ada.state, ada.card.number) == (State.SEATED, "21000001")


def test_moving_to_another_library_goes_by_the_list(visit: Client, ada: Enrollment, halle: Library) -> None:
    page = visit.get(f"{address_of(ada)}?q=halle")
    assert f'href="{address_of(ada)}?library={halle.pk}"' in page.content.decode()
    assert "Bib Halle" in words_of(page)
    visit.post(f"{address_of(ada)}?library={halle.pk}", {"number": "31000001"})
    ada.refresh_from_db()
    assert ada.next_card is not None
    assert ada.next_card.library == halle


def test_card_that_is_proved_at_once_carries_the_place(visit: Client, ada: Enrollment, halle: Library) -> None:
    on_the_list(halle)
    told = {"number": "31000001", "second_fact": "18/05/1990"}
    answer = visit.post(f"{address_of(ada)}?library={halle.pk}", told, follow=True)
    assert "Your card is checked: it carries your application now." in words_of(answer)
    assert [step.words for step in answer.context["current"][0].path][1:6] == [
        "A place is held for you",
        "Card confirmed by Antwerpen",
        "You got a place",
        "Card confirmed by Halle",
        "Your other card carries your application now",
    ]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"number": ""}, "Fill in the number of your library card."),
        ({"number": "21000001"}, "This card carries the application already."),
        ({"number": "93.05.18-223.61"}, "This looks like your national register number."),
        ({"number": "x" * 11_000}, "This number is too long."),
        ({"number": "2100<script>"}, "A card number has only digits and letters."),
    ],
)
def test_what_is_wrong_is_said_beside_the_number(
    visit: Client, ada: Enrollment, told: dict[str, str], words: str
) -> None:
    assert words in words_of(visit.post(address_of(ada), told))
    ada.refresh_from_db()
    assert (ada.card.number, ada.next_card) == ("21000001", None)


def test_wrong_birth_date_is_said_and_tried_only_so_often(visit: Client, ada: Enrollment, halle: Library) -> None:
    on_the_list(halle)
    address, told = f"{address_of(ada)}?library={halle.pk}", {"number": "31000001", "second_fact": "19/05/1990"}
    answers = [visit.post(address, told) for _ in range(12)]
    assert "Your library does not find this card." in words_of(answers[0])
    assert [answer.status_code for answer in answers[-2:]] == [429, 429]
    assert "This card was tried too often. Please wait an hour, or ask at the desk" in words_of(answers[-1])


def test_unknown_library_shows_the_list(visit: Client, ada: Enrollment) -> None:
    for asked in ("0", "999999", "x", "9" * 30, "²"):
        page = visit.get(f"{address_of(ada)}?library={asked}")
        assert "Which library is your other card from?" in words_of(page)


def test_applications_of_others_and_ended_ones_are_not_there(
    visit: Client, ada: Enrollment, programme: Programme
) -> None:
    cy = make_member("cy@example.test", programme=programme)
    assert visit.post(address_of(cy), {"number": "21000005"}).status_code == 404
    ending.give_back(enrollment_id=ada.pk, by=ada.user, now=timezone.now())
    assert visit.get(address_of(ada)).status_code == 404
    assert Client().get(address_of(ada)).status_code == 302


def test_number_of_somebody_else_reads_like_any_other(visit: Client, ada: Enrollment, programme: Programme) -> None:
    cy = make_member("cy@example.test", programme=programme, library=make_library(), number="21000009")
    answer = visit.post(address_of(ada), {"number": "21000009"}, follow=True)
    assert "Your library looks at your card. Until then everything stays as it is." in words_of(answer)
    assert "disputed" not in words_of(answer)
    assert Card.objects.get(pk=cy.card_id).state == Card.State.CLAIMED


def test_new_card_is_taken_back(visit: Client, ada: Enrollment, halle: Library) -> None:
    visit.post(f"{address_of(ada)}?library={halle.pk}", {"number": "31000001"})
    assert f'action="{address_of(ada)}back/"' in visit.get("/en/my/").content.decode()
    answer = visit.post(f"{address_of(ada)}back/", follow=True)
    assert "You took the other card back. Everything stays as it was." in words_of(answer)
    ada.refresh_from_db()
    assert (ada.state, ada.next_card) == (State.SEATED, None)


def test_new_card_of_somebody_else_is_not_there_to_take_back(
    visit: Client, ada: Enrollment, programme: Programme
) -> None:
    cy = make_member("cy@example.test", programme=programme)
    assert visit.post(f"{address_of(cy)}back/").status_code == 404
    assert visit.get(f"{address_of(ada)}back/").status_code == 405
