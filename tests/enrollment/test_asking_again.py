"""A system that did not answer is asked until it does; then members come back with the PIN, or a librarian looks."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from catalog.models import Programme
from enrollment import applying, asking_again, card_checking, drafts, moving
from enrollment.eligibility import Reason
from enrollment.models import Enrollment, Event, Letter
from libraries.cards.checks import Answer, Outcome, Trouble
from libraries.models import Card, Institution, Library, LibrarySystem
from tests.card_systems import PIN, AnsweringSystem, answer_in_place_of
from tests.factories import (
    ADDRESS,
    NOW,
    make_institution,
    make_librarian,
    make_library,
    make_member,
    make_programme,
    make_system,
)
from tests.letters import check_complete

pytestmark = pytest.mark.django_db

State = Enrollment.State
DOWN = Answer(Outcome.NO_ANSWER, trouble=Trouble.TIMED_OUT)
LATER = NOW + timedelta(minutes=10)


@pytest.fixture
def kortrijk() -> Institution:
    return make_system(make_institution("kortrijk")).institution


@pytest.fixture
def library(kortrijk: Institution) -> Library:
    return make_library("Kortrijk", kortrijk)


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> AnsweringSystem:
    """Down until a test says otherwise."""
    system = answer_in_place_of("sip2", monkeypatch)
    system.otherwise = DOWN
    return system


@pytest.fixture
def programme(library: Library) -> Programme:
    return make_programme()


@pytest.fixture
def ada(programme: Programme, library: Library, system: AnsweringSystem) -> Enrollment:
    return make_member(programme=programme, library=library, number="21000001", now=NOW, pin=PIN)


def ask_again() -> int:
    return asking_again.ask_again(now=LATER)


def letters() -> list[tuple[str, str]]:
    found = Letter.objects.filter(kind=Letter.Kind.CARD_TO_PROVE).order_by("id")
    return list(found.values_list("user__email", "kind"))


def silent_since() -> datetime | None:
    return LibrarySystem.objects.get().unanswered_since


def test_as_long_as_it_is_silent_nothing_changes(ada: Enrollment) -> None:
    assert (ask_again(), letters()) == (0, [])
    ada.card.refresh_from_db()
    assert ada.card.unanswered_since == NOW


def test_once_it_answers_everybody_who_waits_is_asked_back_once(
    ada: Enrollment, system: AnsweringSystem, programme: Programme, library: Library
) -> None:
    make_member("bo@example.test", programme=programme, library=library, pin=PIN, now=NOW + timedelta(minutes=1))
    system.otherwise = Answer(Outcome.UNKNOWN)
    assert (ask_again(), ask_again()) == (2, 0)
    assert letters() == [("ada@example.test", "card_to_prove"), ("bo@example.test", "card_to_prove")]
    assert system.looked_up == ["21000001"]
    assert Card.objects.filter(unanswered_since__isnull=False).count() == 0
    assert Event.objects.filter(kind=Event.Kind.CARD_ANSWERED).count() == 2


def test_without_the_pin_nothing_is_decided(ada: Enrollment, system: AnsweringSystem) -> None:
    system.otherwise = Answer(Outcome.CONFIRMED)
    ask_again()
    ada.refresh_from_db()
    assert (ada.state, ada.card.state) == (State.HELD, Card.State.CLAIMED)


def test_member_who_comes_back_has_the_seat_at_once(ada: Enrollment, system: AnsweringSystem) -> None:
    system.otherwise = Answer(Outcome.CONFIRMED)
    ask_again()
    told = moving.NewCard(library=ada.card.library, number=ada.card.number, pin=PIN)
    changed = moving.change_card(enrollment_id=ada.pk, told=told, by=ada.user, address=ADDRESS, now=LATER)
    assert (changed.state, changed.card_id, changed.card.state) == (State.SEATED, ada.card_id, Card.State.CONFIRMED)
    assert drafts.compose(Letter.objects.get(kind=Letter.Kind.CARD_TO_PROVE)) is None


def test_member_may_come_back_while_very_many_wait_there(
    ada: Enrollment, system: AnsweringSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("enrollment.eligibility.UNPROVED_PER_INSTITUTION", 1)
    told = moving.NewCard(library=ada.card.library, number=ada.card.number, pin=PIN)
    changed = moving.change_card(enrollment_id=ada.pk, told=told, by=ada.user, address=ADDRESS, now=LATER)
    assert (changed.state, changed.card.unanswered_since) == (State.HELD, NOW)


def test_in_a_long_silence_the_last_are_told_what_is_the_matter(
    ada: Enrollment, programme: Programme, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("enrollment.eligibility.UNPROVED_PER_INSTITUTION", 1)
    with pytest.raises(applying.Ineligible) as refused:
        make_member("bo@example.test", programme=programme, library=library, pin=PIN, now=NOW)
    assert refused.value.reasons == [Reason.LIBRARY_SILENT]


def test_where_a_librarian_looks_nobody_is_asked_back(ada: Enrollment, system: AnsweringSystem) -> None:
    LibrarySystem.objects.update(when_down=LibrarySystem.WhenDown.LIBRARIAN)
    system.otherwise = Answer(Outcome.CONFIRMED)
    assert (ask_again(), letters()) == (0, [])
    assert Card.objects.filter(unanswered_since__isnull=False).count() == 0


def test_librarian_who_was_quicker_ends_the_waiting(ada: Enrollment, system: AnsweringSystem) -> None:
    card_checking.confirm(card_id=ada.card_id, by=make_librarian(ada.card.institution), now=LATER)
    system.otherwise = Answer(Outcome.CONFIRMED)
    assert (ask_again(), letters(), system.looked_up) == (0, [], [])


def test_one_silent_system_does_not_hold_up_another(
    ada: Enrollment, system: AnsweringSystem, programme: Programme, library: Library
) -> None:
    other = make_library("Dilbeek", make_system(make_institution("dilbeek")).institution)
    programme.pool.shares.create(institution=other.institution)
    make_member("cy@example.test", programme=programme, library=other, number="31000001", pin=PIN, now=NOW)
    system.answers["31000001"] = Answer(Outcome.CONFIRMED)
    assert ask_again() == 1
    assert letters() == [("cy@example.test", "card_to_prove")]


def test_system_that_fails_does_not_hold_up_another(
    ada: Enrollment, system: AnsweringSystem, programme: Programme, library: Library, caplog: pytest.LogCaptureFixture
) -> None:
    other = make_library("Dilbeek", make_system(make_institution("dilbeek")).institution)
    programme.pool.shares.create(institution=other.institution)
    make_member("cy@example.test", programme=programme, library=other, number="31000001", pin=PIN, now=NOW)
    system.answers["31000001"] = Answer(Outcome.CONFIRMED)

    def fail() -> None:
        if system.looked_up[-1] == "21000001":
            raise ValueError("21000001")

    system.while_asking = fail
    assert (ask_again(), letters()) == (1, [("cy@example.test", "card_to_prove")])
    assert "21000001" not in caplog.text


@pytest.fixture
def three_more(ada: Enrollment, programme: Programme, library: Library) -> list[Enrollment]:
    return [
        make_member(f"m{number}@example.test", programme=programme, library=library, number=number, pin=PIN, now=NOW)
        for number in ("21000002", "21000003", "21000004")
    ]


@pytest.mark.usefixtures("three_more")
def test_card_to_which_no_answer_comes_does_not_silence_the_others(ada: Enrollment, system: AnsweringSystem) -> None:
    system.otherwise, system.answers["21000001"] = Answer(Outcome.UNKNOWN), DOWN
    assert (ask_again(), system.looked_up) == (4, ["21000001", "21000002"])


@pytest.mark.usefixtures("three_more")
def test_those_asked_about_least_recently_come_first_three_at_a_time(ada: Enrollment, system: AnsweringSystem) -> None:
    assert (ask_again(), system.looked_up) == (0, ["21000001", "21000002", "21000003"])
    assert asking_again.ask_again(now=LATER + timedelta(minutes=5)) == 0
    assert system.looked_up[3:] == ["21000004", "21000001", "21000002"]


def test_card_of_one_who_is_passed_over_is_not_asked_about_and_is_told_all_the_same(
    ada: Enrollment, three_more: list[Enrollment], system: AnsweringSystem
) -> None:
    Enrollment.objects.filter(pk=ada.pk).update(state="waiting", passed_over=True, hold_until=None)
    system.otherwise = Answer(Outcome.UNKNOWN)
    assert (ask_again(), system.looked_up) == (4, ["21000002"])


def test_where_nobody_is_in_line_the_system_is_asked_whether_it_is_there(
    ada: Enrollment, system: AnsweringSystem
) -> None:
    Enrollment.objects.update(state="waiting", passed_over=True, hold_until=None)
    assert (ask_again(), silent_since()) == (0, LATER)
    system.otherwise = Answer(Outcome.CONFIRMED)
    assert (ask_again(), silent_since(), system.looked_up) == (1, None, [])


def test_system_that_need_not_answer_without_a_pin_is_asked_whether_it_is_there(
    ada: Enrollment, system: AnsweringSystem
) -> None:
    LibrarySystem.objects.update(recheck_days=0)
    assert (ask_again(), silent_since()) == (0, LATER)
    system.otherwise = Answer(Outcome.CONFIRMED)
    assert (ask_again(), silent_since(), system.looked_up) == (1, None, [])


def test_silence_is_noted_once_and_is_over_with_the_first_answer(ada: Enrollment, system: AnsweringSystem) -> None:
    assert (ask_again(), silent_since()) == (0, LATER)
    asking_again.ask_again(now=LATER + timedelta(minutes=5))
    assert silent_since() == LATER
    system.otherwise = Answer(Outcome.UNKNOWN)
    assert (ask_again(), silent_since()) == (1, None)


def test_silence_is_over_also_where_no_card_waits(library: Library, system: AnsweringSystem) -> None:
    LibrarySystem.objects.update(unanswered_since=NOW)
    assert (ask_again(), silent_since()) == (0, NOW)
    system.otherwise = Answer(Outcome.CONFIRMED)
    assert (ask_again(), silent_since()) == (0, None)


def test_new_card_is_asked_about_too_and_the_old_one_stays(
    ada: Enrollment, system: AnsweringSystem, library: Library
) -> None:
    system.otherwise = Answer(Outcome.CONFIRMED)
    told = moving.NewCard(library=library, number="21000001", pin=PIN)
    moving.change_card(enrollment_id=ada.pk, told=told, by=ada.user, address=ADDRESS, now=NOW)
    system.otherwise = DOWN
    other = moving.NewCard(library=library, number="21000009", pin=PIN)
    waiting = moving.change_card(enrollment_id=ada.pk, told=other, by=ada.user, address=ADDRESS, now=NOW)
    assert (waiting.state, waiting.card.number, waiting.next_card and waiting.next_card.number) == (
        State.SEATED, "21000001", "21000009",
    )  # fmt: skip
    system.otherwise = Answer(Outcome.CONFIRMED)
    assert (ask_again(), letters()) == (1, [("ada@example.test", "card_to_prove")])


def test_institution_that_went_back_to_looking_by_hand_waits_for_nothing(
    ada: Enrollment, system: AnsweringSystem, kortrijk: Institution
) -> None:
    Institution.objects.filter(pk=kortrijk.pk).update(card_check=Institution.CardCheck.BY_HAND)
    assert (ask_again(), letters(), system.looked_up) == (0, [], [])
    assert Card.objects.filter(unanswered_since__isnull=False).count() == 0


def test_letter_about_a_new_card_names_its_library_and_what_is_kept(
    ada: Enrollment, system: AnsweringSystem, library: Library, programme: Programme
) -> None:
    system.otherwise = Answer(Outcome.CONFIRMED)
    told = moving.NewCard(library=library, number="21000001", pin=PIN)
    moving.change_card(enrollment_id=ada.pk, told=told, by=ada.user, address=ADDRESS, now=NOW)
    halle = make_library("Bib Halle", make_system(make_institution("halle")).institution)
    programme.pool.shares.create(institution=halle.institution)
    system.otherwise = DOWN
    other = moving.NewCard(library=halle, number="31000009", pin=PIN)
    moving.change_card(enrollment_id=ada.pk, told=other, by=ada.user, address=ADDRESS, now=NOW)
    system.otherwise = Answer(Outcome.CONFIRMED)
    ask_again()
    letter = Letter.objects.get(kind=Letter.Kind.CARD_TO_PROVE)
    text = check_complete(letter, "en", page=f"my/{ada.pk}/card/proof")
    assert "When we asked Bib Halle about your library card" in text
    assert "You keep your place." in text


@pytest.mark.parametrize("language", ["nl", "fr", "en"])
def test_letter_says_what_to_do_in_the_language_of_the_reader(
    ada: Enrollment, system: AnsweringSystem, language: str
) -> None:
    told = Letter.objects.get(kind=Letter.Kind.SEAT_HELD)
    words = {
        "nl": "Dan geef je je pincode nog eens",
        "fr": "Vous donnerez alors encore une fois",
        "en": "your PIN once more",
    }
    assert words[language] in check_complete(told, language, page="my")
    system.otherwise = Answer(Outcome.CONFIRMED)
    ask_again()
    letter = Letter.objects.get(kind=Letter.Kind.CARD_TO_PROVE)
    check_complete(letter, language, page=f"my/{ada.pk}/card/proof")
