"""Signed up at the desk: the card is confirmed at once, the address only when a code proves it."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount
from django.db import connection
from django.test import Client

from catalog.models import Programme
from enrollment import applying, at_the_desk, card_checking, drafts, ending, using
from enrollment.at_the_desk import CannotSignUp, Obstacle
from enrollment.eligibility import Reason
from enrollment.models import Enrollment, Event, Letter, ProviderAccount
from libraries import people
from libraries.models import Card, StaffRole, User
from tests.enrollment.desk import ADA, sign_up
from tests.factories import (
    NOW,
    make_application,
    make_coordinator,
    make_institution,
    make_librarian,
    make_library,
    make_member,
    make_programme,
    make_staff,
    make_user,
)
from tests.letters import check_complete

pytestmark = pytest.mark.django_db

State, Kind = Enrollment.State, Letter.Kind


@pytest.fixture
def programme() -> Programme:
    make_library()
    make_institution("halle")
    return make_programme(cap=1)


@pytest.fixture
def lin(programme: Programme) -> User:
    return make_librarian()


def refusal(programme: Programme, by: User, email: str = ADA, **told: Any) -> Obstacle:
    before = (User.objects.count(), Card.objects.count(), Enrollment.objects.count(), Event.objects.count())
    with pytest.raises(CannotSignUp) as refused:
        sign_up(programme, by, email, **told)
    assert before == (User.objects.count(), Card.objects.count(), Enrollment.objects.count(), Event.objects.count())
    return refused.value.obstacle


def due(enrollment: Enrollment, *, hours: int = 1) -> tuple[list[str], int]:
    """The letters and accounts that leave by then."""
    at = NOW + timedelta(hours=hours)
    letters = Letter.objects.due(at).filter(enrollment=enrollment).order_by("pk").values_list("kind", flat=True)
    return list(letters), ProviderAccount.objects.due(at).filter(user=enrollment.user_id).count()


# --- Card and seat ---


def test_desk_confirms_the_card_and_gives_the_seat_at_once(programme: Programme, lin: User) -> None:
    ada = sign_up(programme, lin)

    assert (ada.state, ada.card.state, ada.card.decided_by, ada.card.decided_how) == (
        State.SEATED,
        "confirmed",
        lin,
        "by_hand",
    )
    assert (ada.user.full_name, ada.user.address_proved_at, ada.privacy_read_at) == ("Ada Peeters", None, NOW)
    assert list(Event.objects.values_list("kind", "actor_id").order_by("pk")) == [
        ("applied", ada.user_id),
        ("desk_sign_up", lin.pk),
        ("card_confirmed", lin.pk),
        ("seat_given", None),
    ]


def test_desk_does_not_pass_the_queue(programme: Programme, lin: User) -> None:
    sign_up(programme, lin)
    bo = sign_up(programme, lin, "bo@example.test", number="21000002", first_name="Bo")

    assert (bo.state, Letter.objects.filter(enrollment=bo, kind=Kind.IN_QUEUE).count()) == (State.WAITING, 1)


def test_signing_up_twice_makes_one_application(programme: Programme, lin: User) -> None:
    assert sign_up(programme, lin) == sign_up(programme, lin)
    assert (Enrollment.objects.count(), Card.objects.count(), Letter.objects.filter(kind="seat_given").count()) == (
        1,
    ) * 3


@pytest.mark.django_db(transaction=True)
def test_desks_at_once_make_one_application_and_believe_one_person(programme: Programme, lin: User) -> None:
    """Sent twice by one librarian, and the same card in another's hands at the same moment."""

    def attempt(first_name: str) -> str:
        email = f"{first_name.lower()}@example.test"
        try:
            application = make_application(first_name=first_name)
            row = at_the_desk.sign_up(pool=programme.pool, application=application, email=email, by=lin, now=NOW)
            return str(row.pk)
        except CannotSignUp as refused:
            return str(refused.obstacle)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        answers = Counter(pool.map(attempt, ["Ada", "Bo"] * 3))
    row = Enrollment.objects.get()
    assert answers == {str(row.pk): 3, "confirmed_rival": 3}
    assert User.objects.filter(first_name__in=["Ada", "Bo"]).count() == 1


def test_desk_confirms_the_card_of_who_applied_at_home(programme: Programme, lin: User) -> None:
    ada = make_member(programme=programme, number="21000001")
    assert ada.state == State.HELD

    assert sign_up(programme, lin) == ada
    ada.refresh_from_db()
    assert (ada.state, ada.card.state) == (State.SEATED, "confirmed")


def test_desk_refuses_who_claimed_the_number_without_proof(programme: Programme, lin: User) -> None:
    squatter = make_member("cy@example.test", programme=programme, number="21000001")

    assert sign_up(programme, lin).state == State.SEATED
    squatter.refresh_from_db()
    assert (squatter.state, squatter.card.state) == (State.ENDED, "refused")


def test_desk_leaves_a_confirmed_rival_to_the_page_of_disputes(programme: Programme, lin: User) -> None:
    cy = make_member("cy@example.test", programme=programme, number="21000001")
    card_checking.confirm(card_id=cy.card_id, by=lin, now=NOW)

    assert refusal(programme, lin) == Obstacle.CONFIRMED_RIVAL


def test_desk_ends_no_place_in_its_time_of_grace(programme: Programme, lin: User) -> None:
    cy = make_member("cy@example.test", programme=programme, number="21000001")
    card_checking.confirm(card_id=cy.card_id, by=lin, now=NOW)
    until = NOW.date() - timedelta(days=1)
    Card.objects.update(state=Card.State.CLAIMED, valid_until=until, decided_at=None, decided_how="", decided_by=None)

    assert refusal(programme, lin) == Obstacle.RIVAL_HAS_PLACE
    cy.refresh_from_db()
    assert cy.state == State.SEATED


def test_desk_keeps_the_rules_of_the_programme(programme: Programme, lin: User) -> None:
    programme.opens_on = NOW.date() + timedelta(days=1)
    programme.save()
    with pytest.raises(applying.Ineligible) as refused:
        sign_up(programme, lin)
    assert refused.value.reasons == [Reason.NOT_OPEN_YET]
    assert User.objects.filter(email=ADA).count() == 0


def test_second_card_for_the_same_programme_is_no_second_application(programme: Programme, lin: User) -> None:
    sign_up(programme, lin)
    with pytest.raises(applying.Ineligible) as refused:
        sign_up(programme, lin, number="21000002")
    assert refused.value.reasons == [Reason.ALREADY_APPLIED]


def test_desk_is_for_librarians_of_the_institution_and_coordinators(programme: Programme, lin: User) -> None:
    hal = make_librarian(make_institution("halle"), "hal@example.test")
    assert refusal(programme, hal) == Obstacle.NOT_YOURS
    assert refusal(programme, make_staff("aud@example.test", "auditor")) == Obstacle.NOT_YOURS
    assert refusal(programme, make_user("eve@example.test")) == Obstacle.NOT_YOURS
    assert sign_up(programme, make_coordinator()).state == State.SEATED


def test_nobody_signs_themselves_up(programme: Programme, lin: User) -> None:
    assert refusal(programme, lin, "Lin@Example.test") == Obstacle.YOURSELF


def test_one_person_at_the_desk_has_a_limit(programme: Programme, lin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_the_desk, "SIGN_UPS", 1)
    sign_up(programme, lin)
    assert refusal(programme, lin, "bo@example.test", number="21000002") == Obstacle.TOO_MANY


# --- Accounts that are there already ---


def test_proved_account_is_used_as_it_is(programme: Programme, lin: User) -> None:
    user = make_user(ADA, first_name="Áda", last_name="Peeters", language="fr")

    ada = sign_up(programme, lin, language="en")

    user.refresh_from_db()
    assert (ada.user, user.first_name, user.language) == (user, "Áda", "fr")
    assert due(ada) == ([Kind.SEAT_GIVEN], 1)


@pytest.mark.parametrize("there", [{"address_proved_at": NOW}, {"address_proved_at": None}, {"is_active": False}])
def test_account_under_another_name_is_not_touched_nor_told_of(
    programme: Programme, lin: User, there: dict[str, Any]
) -> None:
    make_user(ADA, first_name="Bo", last_name="Claes", **there)
    assert refusal(programme, lin) == Obstacle.ADDRESS_TAKEN


def test_closed_account_reads_like_any_other_that_cannot_be_used(programme: Programme, lin: User) -> None:
    make_user(ADA, is_active=False, last_name="")
    assert refusal(programme, lin) == Obstacle.ADDRESS_TAKEN


def test_address_that_somebody_only_typed_once_is_free(programme: Programme, lin: User) -> None:
    stranger = people.at(ADA, language="fr")
    ada = sign_up(programme, lin)
    assert (ada.user, ada.user.full_name, ada.user.language) == (stranger, "Ada Peeters", "nl")
    assert ada.user.address_proved_at is None


def test_account_without_names_has_to_be_proved_again(programme: Programme, lin: User) -> None:
    """Bo came in once and never applied, and Ada's address is mistyped as his."""
    bo = make_user("bo@example.test", address_proved_at=NOW, last_login=NOW, date_joined=NOW - timedelta(days=9))
    SocialAccount.objects.create(user=bo, provider="https://uitid.test", uid="bo")
    visitor = Client()
    visitor.force_login(bo)

    ada = sign_up(programme, lin, "bo@example.test")

    assert (ada.user.pk, ada.user.full_name, ada.user.address_proved_at) == (bo.pk, "Ada Peeters", None)
    assert due(ada) == ([Kind.ADDRESS_TO_PROVE], 0)
    assert (visitor.get("/en/my/").status_code, SocialAccount.objects.count()) == (302, 0)
    assert (people.forget_strangers(now=NOW), User.objects.filter(pk=bo.pk).count()) == (0, 1)


@pytest.mark.parametrize("staff", [{"is_staff": True}, {"is_superuser": True}, {}])
def test_account_of_staff_is_never_given_a_members_name(programme: Programme, lin: User, staff: dict[str, Any]) -> None:
    user = make_user("jo@example.test", last_login=NOW, **staff)
    if not staff:
        StaffRole.objects.create(user=user, role="auditor")
    assert refusal(programme, lin, "jo@example.test") == Obstacle.ADDRESS_TAKEN
    user.refresh_from_db()
    assert (user.full_name, user.address_proved_at is not None) == ("", True)


# --- An address that is not proved ---


def test_nothing_about_the_person_leaves_before_the_address_is_proved(programme: Programme, lin: User) -> None:
    ada = sign_up(programme, lin)

    assert due(ada) == ([Kind.ADDRESS_TO_PROVE], 0)
    assert ProviderAccount.objects.claim(now=NOW, lease=timedelta(seconds=40)) is None
    assert ProviderAccount.objects.oldest_owed_at() is None
    people.note_proved(ada.user, email=ada.user.email, now=NOW)
    assert due(ada) == ([Kind.SEAT_GIVEN, Kind.ADDRESS_TO_PROVE], 1)
    assert due(ada, hours=0) == ([Kind.SEAT_GIVEN], 1)


def test_letter_with_the_link_says_nothing_about_the_person(programme: Programme, lin: User) -> None:
    ada = sign_up(programme, lin)
    letter = Letter.objects.get(kind=Kind.ADDRESS_TO_PROVE)

    message = drafts.compose(letter)
    assert message is not None
    said = f"{message.subject} {message.body} {message.alternatives}"
    told = ("Ada", "Peeters", "21000001", "Permeke", "Antwerpen")
    assert [word for word in told if word in said] == []
    assert "/accounts/login/code/" in str(message.body)
    people.note_proved(ada.user, email=ada.user.email, now=NOW)
    assert drafts.compose(Letter.objects.get(pk=letter.pk)) is None


@pytest.mark.parametrize("language", ["nl", "fr", "en"])
@pytest.mark.parametrize("kind", [Kind.ADDRESS_TO_PROVE, Kind.ADDRESS_UNPROVED])
def test_letters_about_the_address_are_complete(
    programme: Programme, lin: User, kind: Letter.Kind, language: str
) -> None:
    programme.unused_days = 30
    programme.save()
    Letter.objects.owe(kind, sign_up(programme, lin), now=NOW)
    letter = Letter.objects.select_related("user").filter(kind=kind).latest("pk")
    assert "2026" in check_complete(letter, language, page="accounts/login/code")


def test_link_is_sent_at_once_when_the_person_will_do_it_at_home(programme: Programme, lin: User) -> None:
    ada = sign_up(programme, lin)
    assert due(ada, hours=0) == ([], 0)
    at_the_desk.prove_later(enrollment_id=ada.pk, by=lin, now=NOW)
    assert due(ada, hours=0) == ([Kind.ADDRESS_TO_PROVE], 0)


def test_closing_an_account_does_not_wait_for_the_address(programme: Programme, lin: User) -> None:
    ada = sign_up(programme, lin)
    ending.end_by_staff(enrollment_id=ada.pk, by=lin, now=NOW, words="Changed their mind")
    assert due(ada)[1] == 1


def test_seat_of_an_address_that_is_never_proved_ends_like_an_unused_one(programme: Programme, lin: User) -> None:
    programme.unused_days = 30
    programme.save()
    ada = sign_up(programme, lin)
    assert using.prove_until(ada) == (NOW + timedelta(days=30)).date()

    assert using.remind(now=NOW + timedelta(days=22)) == 0
    assert using.remind(now=NOW + timedelta(days=23)) == 1
    assert using.remind(now=NOW + timedelta(days=23)) == 0
    assert using.end_unused(now=NOW + timedelta(days=29)) == 0
    assert using.end_unused(now=NOW + timedelta(days=30)) == 1
    ada.refresh_from_db()
    assert (ada.state, ada.end_reason) == (State.ENDED, "unused")


def test_seat_of_an_address_that_was_proved_late_is_not_ended(programme: Programme, lin: User) -> None:
    programme.unused_days = 30
    programme.save()
    ada = sign_up(programme, lin)
    using.remind(now=NOW + timedelta(days=23))
    people.note_proved(ada.user, email=ada.user.email, now=NOW + timedelta(days=29))
    assert using.end_unused(now=NOW + timedelta(days=31)) == 0
