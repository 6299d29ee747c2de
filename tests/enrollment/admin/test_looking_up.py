"""The library system is asked about one card of an application, for those who decide about it; it decides nothing."""

from __future__ import annotations

from datetime import date

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from catalog.models import Programme
from enrollment import card_checking, ending, moving, system_checks
from enrollment.models import Enrollment, Event
from libraries.cards.checks import Answer, Outcome, Question, Step, StepName, Trouble, Walk
from libraries.models import Card, Library, StaffRole, User
from tests.card_systems import AnsweringSystem, answer_in_place_of
from tests.enrollment.views.visiting import words_of
from tests.factories import (
    ADDRESS,
    NOW,
    make_coordinator,
    make_institution,
    make_librarian,
    make_library,
    make_member,
    make_programme,
    make_staff,
    make_system,
)
from tests.workplace import sign_in

pytestmark = pytest.mark.django_db
BUTTON = "Ask the library system about this card"


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> AnsweringSystem:
    return answer_in_place_of("sip2", monkeypatch)


@pytest.fixture
def halle() -> Library:
    return make_library("Bib Halle", make_institution("halle"))


@pytest.fixture
def programme(halle: Library) -> Programme:
    make_library()
    return make_programme(cap=2)


@pytest.fixture
def ada(programme: Programme) -> Enrollment:
    """Held for a check by hand; since then the library's system can be asked."""
    ada = make_member(programme=programme, library=make_library(), number="21000001")
    make_system()
    return ada


@pytest.fixture
def lin(ada: Enrollment) -> Client:
    return sign_in(make_librarian())


@pytest.fixture
def hal(halle: Library) -> Client:
    return sign_in(make_librarian(halle.institution, "hal@example.test"))


def page_of(row: Enrollment) -> str:
    return reverse("admin:enrollment_enrollment_change", args=[row.pk])


def asking_about(row: Enrollment) -> str:
    return reverse("admin:enrollment_enrollment_look_up", args=[row.pk])


def moving_to(ada: Enrollment, library: Library, number: str) -> Enrollment:
    card_checking.confirm(card_id=ada.card_id, by=User.objects.get(email="lin@example.test"), now=timezone.now())
    told = moving.NewCard(library=library, number=number)
    moving.change_card(enrollment_id=ada.pk, told=told, by=ada.user, address=ADDRESS, now=timezone.now())
    ada.refresh_from_db()
    return ada


def test_librarian_reads_what_the_system_says_and_it_is_on_record(
    ada: Enrollment, lin: Client, system: AnsweringSystem
) -> None:
    system.otherwise = Answer(Outcome.CONFIRMED, date(2027, 3, 1))
    assert BUTTON in words_of(lin.get(page_of(ada)))
    page = lin.post(asking_about(ada), {"card": ada.card_id})
    words = words_of(page)
    assert "The card is known and good. Valid until 1 March 2027." in words
    assert "that a card is good does not say whose it is" in words
    assert "confirm_cards" in page.content.decode()
    event = Event.objects.latest("pk")
    assert (event.kind, event.reason) == ("card_looked_up", "confirmed")
    assert (event.enrollment_id, event.card_id) == (ada.pk, ada.card_id)
    assert event.institution_id == ada.card.institution_id
    assert "Library system asked about the card" in words_of(lin.get(page_of(ada)))


def test_asking_decides_nothing(ada: Enrollment, lin: Client, system: AnsweringSystem) -> None:
    before = list(Card.objects.values_list()), list(Enrollment.objects.values_list())
    lin.post(asking_about(ada), {"card": ada.card_id})
    assert (list(Card.objects.values_list()), list(Enrollment.objects.values_list())) == before


def test_only_the_number_is_sent_and_no_person_is_shown(ada: Enrollment, lin: Client, system: AnsweringSystem) -> None:
    asked: list[Question | None] = []

    def walk(question: Question | None) -> Walk:
        asked.append(question)
        return Walk((Step(StepName.CARD),), Answer(Outcome.BLOCKED))

    system.walk = walk  # type: ignore[method-assign]
    words = words_of(lin.post(asking_about(ada), {"card": ada.card_id}))
    assert asked == [Question(number="21000001", last_name="", on=timezone.localdate())]
    assert "The card is blocked." in words
    assert "Peeters" not in words


@pytest.mark.parametrize(
    ("walk", "words", "reason"),
    [
        (Walk((Step(StepName.CARD),), Answer(Outcome.UNKNOWN)), "The card is not known.", "unknown"),
        (Walk((Step(StepName.CARD),), Answer(Outcome.EXPIRED)), "The card has expired.", "expired"),
        (
            Walk((Step(StepName.CONNECT, Trouble.TIMED_OUT),)),
            "There was no answer in the time that the settings allow.",
            "no_answer",
        ),
        (
            Walk((Step(StepName.CONNECT),), Answer(Outcome.NO_ANSWER, trouble=Trouble.GARBLED)),
            "Who can mend it: the supplier of the library system.",
            "no_answer",
        ),
    ],
)
def test_every_answer_is_told_in_words(
    ada: Enrollment, lin: Client, system: AnsweringSystem, walk: Walk, words: str, reason: str
) -> None:
    system.walk = lambda question: walk  # type: ignore[method-assign]
    assert words in words_of(lin.post(asking_about(ada), {"card": ada.card_id}))
    assert Event.objects.latest("pk").reason == reason


def test_card_of_another_institution_is_as_if_it_were_not_there(
    ada: Enrollment, hal: Client, lin: Client, programme: Programme, halle: Library, system: AnsweringSystem
) -> None:
    cy = make_member("cy@example.test", programme=programme, library=halle, number="31000001")
    make_system(halle.institution)
    before = Event.objects.count()
    for row, card in ((ada, ada.card_id), (cy, ada.card_id), (ada, cy.card_id), (cy, "x"), (cy, ""), (cy, 2**63)):
        assert hal.post(asking_about(row), {"card": card}).status_code == 404
    assert lin.post(asking_about(ada), {"card": cy.card_id}).status_code == 404
    assert (Event.objects.count(), system.asked) == (before, [])


def test_new_card_is_asked_about_by_its_own_library_alone(
    ada: Enrollment, lin: Client, hal: Client, halle: Library, system: AnsweringSystem
) -> None:
    ada = moving_to(ada, halle, "31000001")
    make_system(halle.institution)
    assert lin.post(asking_about(ada), {"card": ada.next_card_id}).status_code == 404
    assert hal.post(asking_about(ada), {"card": ada.card_id}).status_code == 404
    assert "31000001" in words_of(hal.post(asking_about(ada), {"card": ada.next_card_id}))
    event = Event.objects.latest("pk")
    assert (event.card_id, event.institution_id) == (ada.next_card_id, halle.institution_id)
    assert "confirm_cards" not in lin.post(asking_about(ada), {"card": ada.card_id}).content.decode()


@pytest.mark.parametrize("role", ["auditor", "operator"])
def test_who_decides_about_no_cards_asks_about_none(ada: Enrollment, system: AnsweringSystem, role: str) -> None:
    client = sign_in(make_staff("x@example.test", StaffRole.Role(role)))
    assert client.post(asking_about(ada), {"card": ada.card_id}).status_code == 403
    assert BUTTON not in words_of(client.get(page_of(ada)))


def test_coordinator_asks_too(ada: Enrollment, system: AnsweringSystem) -> None:
    assert "known and good" in words_of(sign_in(make_coordinator()).post(asking_about(ada), {"card": ada.card_id}))


def test_there_is_nothing_to_ask_where_cards_are_checked_otherwise(programme: Programme) -> None:
    ada = make_member(programme=programme, library=make_library(), number="21000001")
    lin = sign_in(make_librarian())
    assert BUTTON not in words_of(lin.get(page_of(ada)))
    assert lin.post(asking_about(ada), {"card": ada.card_id}).status_code == 404


def test_application_that_has_ended_is_left_alone(ada: Enrollment, lin: Client, system: AnsweringSystem) -> None:
    ending.give_back(enrollment_id=ada.pk, by=ada.user, now=timezone.now())
    assert lin.post(asking_about(ada), {"card": ada.card_id}).status_code == 404


def test_asking_counts_with_the_tests(
    ada: Enrollment, lin: Client, system: AnsweringSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system_checks, "ASKED_PER_PERSON", 2)
    pages = [lin.post(asking_about(ada), {"card": ada.card_id}, follow=True) for _ in range(3)]
    too_often = "Library systems were asked very often from here."
    assert [too_often in words_of(page) for page in pages] == [False, False, True]
    assert Event.objects.filter(kind=Event.Kind.CARD_LOOKED_UP).count() == 2


def test_asking_itself_looks_whose_card_it_is(ada: Enrollment, halle: Library, system: AnsweringSystem) -> None:
    hal = make_librarian(halle.institution, "hal@example.test")
    with pytest.raises(system_checks.Refused):
        system_checks.look_up(enrollment=ada, card=ada.card, by=hal, now=NOW)


def test_address_alone_asks_nobody(ada: Enrollment, lin: Client, system: AnsweringSystem) -> None:
    assert lin.get(asking_about(ada)).headers["Location"] == page_of(ada)
    assert Event.objects.filter(kind=Event.Kind.CARD_LOOKED_UP).count() == 0


@pytest.mark.django_db(transaction=True)
def test_nobody_is_asked_inside_a_transaction(ada: Enrollment, lin: Client, system: AnsweringSystem) -> None:
    inside: list[bool] = []
    system.while_asking = lambda: inside.append(connection.in_atomic_block)
    assert lin.post(asking_about(ada), {"card": ada.card_id}).status_code == 200
    assert inside == [False]
