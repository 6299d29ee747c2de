"""An address that was told at the desk: proved by a code that is read out, corrected while it is not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core import mail
from django.db import connection

from catalog.models import Programme
from enrollment import at_the_desk
from enrollment.at_the_desk import CannotSignUp, Obstacle
from enrollment.models import Enrollment, Event, Letter
from libraries import address_codes, people
from libraries.models import User
from tests.enrollment.desk import ADA, sign_up
from tests.factories import NOW, make_institution, make_librarian, make_library, make_programme, make_user

pytestmark = pytest.mark.django_db

Kind = Letter.Kind


@pytest.fixture
def programme() -> Programme:
    make_library()
    make_institution("halle")
    return make_programme(cap=1)


@pytest.fixture
def lin(programme: Programme) -> User:
    return make_librarian()


# --- The code ---


def code_of(user: User, code: str = "1234-5678") -> str:
    address_codes.renew(user, code=code, now=NOW)
    return code


def prove(ada: Enrollment, typed: str, by: User, *, minutes: int = 0) -> bool:
    at = NOW + timedelta(minutes=minutes)
    return at_the_desk.prove_address(enrollment_id=ada.pk, typed=typed, by=by, now=at)


def test_right_code_proves_the_address_once(programme: Programme, lin: User) -> None:
    ada = sign_up(programme, lin)
    code_of(ada.user)

    assert prove(ada, "1234 5679", lin) is False
    assert prove(ada, " 12345678", lin) is True
    ada.user.refresh_from_db()
    assert ada.user.address_proved_at == NOW
    proved = Event.objects.get(kind="address_proved")
    assert (proved.actor_id, proved.enrollment_id) == (lin.pk, ada.pk)
    with pytest.raises(address_codes.NoLongerValid):
        prove(ada, "12345678", lin)


def test_code_works_for_half_an_hour(programme: Programme, lin: User) -> None:
    ada = sign_up(programme, lin)
    code = code_of(ada.user)
    with pytest.raises(address_codes.NoLongerValid):
        prove(ada, code, lin, minutes=30)
    assert prove(ada, code, lin, minutes=29) is True


def test_code_is_kept_as_a_hash_only(programme: Programme, lin: User) -> None:
    ada = sign_up(programme, lin)
    code_of(ada.user)
    with connection.cursor() as cursor:
        cursor.execute("SELECT hashed FROM libraries_addresscode")
        assert "12345678" not in cursor.fetchone()[0]


def test_code_of_one_address_proves_no_other(programme: Programme, lin: User) -> None:
    ada = sign_up(programme, lin)
    code_of(ada.user)
    at_the_desk.correct_address(enrollment_id=ada.pk, email="Ada2@example.test", by=lin, now=NOW)
    with pytest.raises(address_codes.NoLongerValid):
        prove(ada, "12345678", lin)
    User.objects.filter(pk=ada.user_id).update(email=ADA)  # even where the row were still there
    code_of(User.objects.get(pk=ada.user_id))
    User.objects.filter(pk=ada.user_id).update(email="ada2@example.test")
    assert prove(ada, "12345678", lin) is False


@pytest.mark.django_db(transaction=True)
def test_parallel_guesses_are_counted_exactly(programme: Programme, lin: User) -> None:
    ada = sign_up(programme, lin)
    code_of(ada.user)

    def guess(number: int) -> str:
        try:
            return str(prove(ada, f"{number:08}", lin))
        except address_codes.NoLongerValid:
            return "refused"
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(guess, range(24)))
    assert (answers.count("False"), answers.count("refused")) == (5, 19)
    with pytest.raises(address_codes.NoLongerValid):
        prove(ada, "12345678", lin)


def test_librarian_of_another_institution_has_nothing_to_do_with_it(programme: Programme, lin: User) -> None:
    ada = sign_up(programme, lin)
    code = code_of(ada.user)
    hal = make_librarian(make_institution("halle"), "hal@example.test")
    for act in (
        lambda: prove(ada, code, hal),
        lambda: at_the_desk.prove_later(enrollment_id=ada.pk, by=hal, now=NOW),
        lambda: at_the_desk.correct_address(enrollment_id=ada.pk, email="hal2@example.test", by=hal, now=NOW),
    ):
        with pytest.raises(CannotSignUp) as refused:
            act()
        assert refused.value.obstacle == Obstacle.NOT_YOURS


# --- Correcting ---


def correction(ada: Enrollment, email: str, by: User) -> Obstacle:
    with pytest.raises(CannotSignUp) as refused:
        at_the_desk.correct_address(enrollment_id=ada.pk, email=email, by=by, now=NOW)
    return refused.value.obstacle


def test_mistyped_address_is_corrected_while_it_is_not_proved(programme: Programme, lin: User) -> None:
    ada = sign_up(programme, lin, "adda@example.test")
    people.at(ADA, language="nl")  # typed once at home, and never proved

    user = at_the_desk.correct_address(enrollment_id=ada.pk, email=ADA, by=lin, now=NOW)

    assert (user.pk, user.email) == (ada.user_id, ADA)
    links = Letter.objects.filter(kind=Kind.ADDRESS_TO_PROVE).order_by("pk")
    assert [bool(link.dropped_at) for link in links] == [True, False]
    people.note_proved(user, email=user.email, now=NOW)
    assert correction(ada, "eve@example.test", lin) == Obstacle.PROVED


def test_address_of_somebody_elses_account_is_not_given_away(programme: Programme, lin: User) -> None:
    make_user("cy@example.test")
    ada = sign_up(programme, lin)
    assert correction(ada, "cy@example.test", lin) == Obstacle.ADDRESS_TAKEN


def test_account_that_is_closed_gets_no_address_any_more(programme: Programme, lin: User) -> None:
    """Nobody proved that of somebody who was erased; and whoever was, stays so."""
    ada = sign_up(programme, lin)
    user = User.objects.get(pk=ada.user_id)
    people.close(user)
    people.forget(user)
    assert correction(ada, "ada3@example.test", lin) == Obstacle.CLOSED
    assert User.objects.get(pk=user.pk).email == f"erased-{user.pk}@invalid"


def test_address_is_not_corrected_by_one_of_two_institutions(programme: Programme, lin: User) -> None:
    halle = make_institution("halle")
    ada = sign_up(programme, lin)
    second = make_programme("tweede", provider=programme.provider)
    hal = make_librarian(halle, "hal@example.test")
    library = make_library("Bib Halle", halle)
    there = sign_up(second, hal, library=library, number="31000001")
    assert there.user == ada.user
    assert correction(there, "hal2@example.test", hal) == Obstacle.NOT_YOURS
    assert mail.outbox == []


def test_addresses_that_one_librarian_tries_are_counted(
    programme: Programme, lin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(at_the_desk, "SIGN_UPS", 1)
    assert correction(sign_up(programme, lin), "bo@example.test", lin) == Obstacle.TOO_MANY
