"""A number that no card of the institution has is refused before anything is asked, counted or kept."""

from __future__ import annotations

import pytest

from enrollment import asking
from enrollment.models import Enrollment
from libraries import membership
from libraries.cards.checks import Outcome, Question
from libraries.models import Attempt, Library
from tests.card_systems import PIN, AnsweringSystem, answer_in_place_of
from tests.factories import ADDRESS, NOW, make_institution, make_library, make_member, make_programme, make_system

pytestmark = pytest.mark.django_db


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> AnsweringSystem:
    return answer_in_place_of("sip2", monkeypatch)


@pytest.fixture
def permeke(system: AnsweringSystem) -> Library:
    institution = make_institution(number_patterns="21######\nKB*")
    make_system(institution)
    return make_library(institution=institution)


def ask(library: Library, number: str) -> Outcome:
    question = Question(number=number, last_name="Peeters", on=NOW.date(), pin=PIN)
    return asking.ask(library, question, address=ADDRESS, now=NOW).outcome


def test_number_that_fits_is_asked_about(permeke: Library, system: AnsweringSystem) -> None:
    assert [ask(permeke, number) for number in ("21000001", "KB7")] == [Outcome.CONFIRMED] * 2
    assert [question.number for question in system.asked] == ["21000001", "KB7"]
    assert Attempt.objects.count() > 0


@pytest.mark.parametrize("number", ["2100001", "31000001", "210000012"])
def test_number_that_does_not_fit_is_neither_asked_about_nor_counted(
    permeke: Library, system: AnsweringSystem, number: str
) -> None:
    assert membership.fits(permeke.institution, number) is False
    with pytest.raises(asking.NotTheirNumber):
        ask(permeke, number)
    assert (system.asked, Attempt.objects.count()) == ([], 0)


def test_check_digit_is_looked_at_too(permeke: Library) -> None:
    permeke.institution.check_digit = "luhn"
    assert [membership.fits(permeke.institution, number) for number in ("21000001", "21000005")] == [False, True]


def test_nobody_applies_with_a_number_of_another_institution() -> None:
    library = make_library(institution=make_institution(number_patterns="21######"))
    with pytest.raises(asking.NotTheirNumber):
        make_member(programme=make_programme(), library=library, number="31000001")
    assert (Enrollment.objects.count(), Attempt.objects.count()) == (0, 0)


def test_where_no_patterns_are_set_every_number_may_be_theirs(system: AnsweringSystem) -> None:
    make_system(make_institution())
    assert ask(make_library(), "ZZ99") == Outcome.CONFIRMED


def test_what_does_not_fit_reads_as_an_unknown_number_where_nobody_says_it_better(permeke: Library) -> None:
    assert issubclass(asking.NotTheirNumber, asking.CardNotAccepted)
    assert asking.NotTheirNumber().outcome == Outcome.UNKNOWN
