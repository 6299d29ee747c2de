"""A library's system is asked: what its answers make of an application, and how often it may be asked."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection

from catalog.models import Programme
from enrollment import applying, asking, moving
from enrollment.models import Enrollment, Event
from libraries import guessing
from libraries.cards.checks import Answer, Outcome, Trouble
from libraries.models import Card, Library, LibrarySystem, User
from tests.card_systems import PIN, AnsweringSystem, answer_in_place_of
from tests.factories import (
    ADDRESS,
    NOW,
    make_application,
    make_institution,
    make_library,
    make_member,
    make_programme,
    make_system,
    make_user,
)

pytestmark = pytest.mark.django_db

State, Kind = Enrollment.State, Event.Kind
EMAIL = "guesser@example.test"
DOWN = Answer(Outcome.NO_ANSWER, trouble=Trouble.TIMED_OUT)


@pytest.fixture
def library() -> Library:
    make_system(make_institution("kortrijk"))
    return make_library("Kortrijk", make_institution("kortrijk"))


@pytest.fixture
def programme(library: Library) -> Programme:
    return make_programme()


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> AnsweringSystem:
    return answer_in_place_of("sip2", monkeypatch)


def sign_up(programme: Programme, library: Library, pin: str | None = PIN, **told: Any) -> Enrollment:
    return make_member(programme=programme, library=library, number="21000001", now=NOW, pin=pin, **told)


def refusal(programme: Programme, library: Library, pin: str | None = "0000", number: str = "21000001") -> str:
    """What somebody is told who has nothing yet; they must have nothing afterwards either."""
    application = make_application(library, number, pin=pin)
    user = User.objects.filter(email=EMAIL).first() or make_user(EMAIL)
    try:
        applying.apply(user=user, pool=programme.pool, application=application, address=ADDRESS, now=NOW)
    except asking.CardNotAccepted as error:
        said = str(error.outcome)
    except asking.TooManyTries as error:
        said = f"too many: {error.of}"
    assert Card.objects.count() == 0
    return said


# --- Its answers ---


def test_right_pin_gives_a_seat_at_once(programme: Programme, library: Library, system: AnsweringSystem) -> None:
    ada = sign_up(programme, library)
    assert (ada.state, ada.card.state, ada.card.decided_how) == (State.SEATED, Card.State.CONFIRMED, "sip2")
    assert [question.pin for question in system.asked] == [PIN]


@pytest.mark.parametrize(
    "outcome",
    [Outcome.UNKNOWN_OR_WRONG, Outcome.UNKNOWN, Outcome.WRONG_PIN, Outcome.EXPIRED, Outcome.BLOCKED],
)
def test_card_that_is_not_accepted_leaves_nothing_behind(
    programme: Programme, library: Library, system: AnsweringSystem, outcome: Outcome
) -> None:
    system.otherwise = Answer(outcome)
    assert refusal(programme, library, PIN) == outcome
    assert Enrollment.objects.count() == 0


def test_system_that_does_not_answer_loses_nobody_the_seat(
    programme: Programme, library: Library, system: AnsweringSystem
) -> None:
    system.otherwise = DOWN
    ada = sign_up(programme, library)
    assert (ada.state, ada.card.state, ada.card.unanswered_since) == (State.HELD, Card.State.CLAIMED, NOW)
    kinds = list(Event.objects.filter(enrollment_id=ada.pk).order_by("id").values_list("kind", flat=True))
    assert kinds == [Kind.APPLIED, Kind.CARD_UNANSWERED, Kind.SEAT_HELD]


def test_without_a_pin_a_librarian_looks(programme: Programme, library: Library, system: AnsweringSystem) -> None:
    LibrarySystem.objects.update(asks_pin=False)
    ada = sign_up(programme, library, pin=None)
    assert (ada.state, ada.card.state, ada.card.unanswered_since) == (State.HELD, Card.State.CLAIMED, None)


def test_system_that_nobody_has_said_how_to_reach_leaves_it_to_a_librarian(
    programme: Programme, library: Library
) -> None:
    LibrarySystem.objects.all().delete()
    library.refresh_from_db()
    ada = sign_up(programme, library, pin=None)
    assert (ada.state, asking.pin_name(library.institution)) == (State.HELD, None)


def test_pin_is_asked_where_it_is_needed_under_the_name_it_has_there(library: Library) -> None:
    institution = library.institution
    institution.refresh_from_db()
    assert asking.pin_name(institution) == ""
    LibrarySystem.objects.update(pin_name="Mijn Bibliotheek-code")
    institution.refresh_from_db()
    assert asking.pin_name(institution) == "Mijn Bibliotheek-code"
    assert asking.pin_name(make_institution("halle")) is None


def test_it_is_asked_outside_any_transaction(
    programme: Programme, library: Library, system: AnsweringSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    savepoints: list[int] = []
    system.while_asking = lambda: savepoints.append(len(connection.savepoint_ids))
    ada = sign_up(programme, library)
    told = moving.NewCard(library=library, number="21000002", pin=PIN)
    moving.change_card(enrollment_id=ada.pk, told=told, by=ada.user, address=ADDRESS, now=NOW)
    # The test's own transaction has no savepoint around it.
    assert savepoints == [0, 0]


def test_pin_shows_in_no_text_form() -> None:
    told = (make_application(pin="4711"), moving.NewCard(library=make_library(), number="21000001", pin="4711"))
    assert ["4711" in repr(each) for each in told] == [False, False]


# --- How often ---


def test_wrong_pin_is_tried_five_times_and_the_right_one_is_not_heard_then(
    programme: Programme, library: Library, system: AnsweringSystem
) -> None:
    said = [refusal(programme, library) for _ in range(6)]
    assert said == ["unknown_or_wrong"] * 5 + ["too many: card"]
    assert refusal(programme, library, PIN) == "too many: card"
    assert len(system.asked) == 5


def test_unknown_card_is_counted_like_one_that_exists(
    programme: Programme, library: Library, system: AnsweringSystem
) -> None:
    system.answers["29999999"] = Answer(Outcome.UNKNOWN_OR_WRONG)
    assert [refusal(programme, library, number="29999999") for _ in range(6)] == [
        *["unknown_or_wrong"] * 5,
        "too many: card",
    ]


def test_system_that_is_down_costs_no_tries(programme: Programme, library: Library, system: AnsweringSystem) -> None:
    system.otherwise = DOWN
    ada = sign_up(programme, library)
    told = moving.NewCard(library=library, number="21000001", pin=PIN)
    for _ in range(12):
        moving.change_card(enrollment_id=ada.pk, told=told, by=ada.user, address=ADDRESS, now=NOW)
    system.otherwise = Answer(Outcome.CONFIRMED)
    changed = moving.change_card(enrollment_id=ada.pk, told=told, by=ada.user, address=ADDRESS, now=NOW)
    assert (changed.state, changed.card.state) == (State.SEATED, Card.State.CONFIRMED)


def test_institution_that_is_guessed_at_is_asked_no_more_and_keeps_nobody_out(
    programme: Programme, library: Library, system: AnsweringSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(guessing.MOST, guessing.Of.INSTITUTION, ((2, guessing.HOUR),))
    assert [refusal(programme, library) for _ in range(2)] == ["unknown_or_wrong"] * 2
    ada = sign_up(programme, library)
    assert (ada.state, ada.card.unanswered_since, len(system.asked)) == (State.HELD, None, 2)


def test_process_asks_only_so_many_at_once(
    programme: Programme, library: Library, system: AnsweringSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_room", threading.BoundedSemaphore(1))
    seen: list[str] = []

    def ask_meanwhile() -> None:
        with pytest.raises(asking.Busy):
            sign_up(programme, library, email="bo@example.test")
        seen.append("busy")

    system.while_asking = ask_meanwhile
    assert sign_up(programme, library).state == State.SEATED
    system.while_asking = lambda: None
    assert make_member("cy@example.test", programme=programme, library=library, pin=PIN).state == State.SEATED
    assert seen == ["busy"]


def test_slow_library_leaves_room_for_the_members_of_others(
    programme: Programme, library: Library, system: AnsweringSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_library("Dilbeek", make_system(make_institution("dilbeek")).institution)
    programme.pool.shares.create(institution=other.institution)
    answered: list[str] = []

    def ask_meanwhile() -> None:
        """By as many as one library may have, one within the other; then by one more, and by somebody of another."""
        number = len(system.asked)
        if number < asking.MOST_OF_ONE:
            sign_up(programme, library, email=f"{number}@example.test")
        elif number == asking.MOST_OF_ONE:
            with pytest.raises(asking.Busy):
                sign_up(programme, library, email="bo@example.test")
            answered.append(make_member("cy@example.test", programme=programme, library=other, pin=PIN).state)

    system.while_asking = ask_meanwhile
    sign_up(programme, library)
    assert answered == [State.SEATED]


def test_room_is_given_back_whatever_happens(
    programme: Programme, library: Library, system: AnsweringSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_room", threading.BoundedSemaphore(1))

    def fail() -> None:
        raise ZeroDivisionError

    system.while_asking = fail
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            sign_up(programme, library)
    system.while_asking = lambda: None
    assert sign_up(programme, library).state == State.SEATED
