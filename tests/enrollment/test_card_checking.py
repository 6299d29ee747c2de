"""A librarian confirms or refuses; a disputed number is settled; the seats follow in the same moment."""

from datetime import timedelta

import pytest

from enrollment import card_checking, waiting_list
from enrollment.card_checking import Obstacle
from enrollment.models import Enrollment, Event, Letter, ProviderAccount
from libraries.models import Card, User
from tests.factories import (
    NOW,
    make_coordinator,
    make_institution,
    make_librarian,
    make_library,
    make_member,
    make_programme,
)

pytestmark = pytest.mark.django_db

State = Enrollment.State
LATER = NOW + timedelta(days=1)
ADA, BO, CY = "ada@example.test", "bo@example.test", "cy@example.test"


@pytest.fixture
def lin() -> User:
    make_library()
    return make_librarian()


def decide(action: str, card_id: int, by: User) -> Card:
    if action == "confirm":
        return card_checking.confirm(card_id=card_id, by=by, now=LATER)
    return card_checking.refuse(card_id=card_id, reason=Card.Refusal.EXPIRED, by=by, now=LATER)


def obstacle(action: str, card_id: int, by: User) -> Obstacle:
    with pytest.raises(card_checking.CannotDecide) as caught:
        decide(action, card_id, by)
    return caught.value.obstacle


def letters(enrollment: Enrollment) -> list[tuple[str, str]]:
    found = Letter.objects.filter(enrollment=enrollment, owed_at=LATER).order_by("id")
    return list(found.values_list("kind", "reason"))


def test_confirm_turns_a_held_seat_into_a_given_one(lin: User) -> None:
    ada = make_member(ADA, programme=make_programme(), now=NOW)
    card_checking.confirm(card_id=ada.card_id, by=lin, now=LATER)
    ada.refresh_from_db()
    card = Card.objects.get()
    assert (ada.state, ada.seated_at, ada.hold_until) == (State.SEATED, LATER, None)
    assert (card.state, card.decided_by, card.decided_how) == (Card.State.CONFIRMED, lin, "by_hand")
    assert ada.pool.taken == 1
    assert letters(ada) == [("card_confirmed", "")]
    assert list(ProviderAccount.objects.values_list("user_id", "must_be_active")) == [(ada.user_id, True)]
    events = Event.objects.filter(at=LATER).order_by("id").values_list("kind", "actor_id")
    assert list(events) == [("card_confirmed", lin.pk), ("seat_given", lin.pk)]


def test_confirm_leaves_who_waits_in_the_queue(lin: User) -> None:
    programme = make_programme(cap=0)
    ada = make_member(ADA, programme=programme, now=NOW)
    card_checking.confirm(card_id=ada.card_id, by=lin, now=LATER)
    ada.refresh_from_db()
    assert (ada.state, waiting_list.place_of(ada)) == (State.WAITING, 1)
    assert letters(ada) == [("card_confirmed", "")]
    assert ProviderAccount.objects.count() == 0


def test_refuse_ends_the_application_and_seats_the_next(lin: User) -> None:
    programme = make_programme(cap=1)
    ada = make_member(ADA, programme=programme, now=NOW)
    bo = make_member(BO, programme=programme, now=NOW)
    words = "De kaart verliep in mei."
    card_checking.refuse(card_id=ada.card_id, reason=Card.Refusal.EXPIRED, by=lin, now=LATER, words=words)
    ada.refresh_from_db()
    bo.refresh_from_db()
    assert (ada.state, ada.end_reason, bo.state) == (State.ENDED, "card_refused", State.HELD)
    assert letters(ada) == [("card_refused", "expired")]
    told = Event.objects.get(kind="card_refused")
    assert (told.actor_id, told.reason, told.note.words) == (lin.pk, "expired", words)
    programme.pool.refresh_from_db()
    assert programme.pool.taken == 1


def test_second_decision_is_told_that_it_comes_too_late(lin: User) -> None:
    ada = make_member(ADA, programme=make_programme(), now=NOW)
    card_checking.confirm(card_id=ada.card_id, by=lin, now=LATER)
    assert obstacle("refuse", ada.card_id, lin) == Obstacle.DECIDED
    assert obstacle("confirm", ada.card_id, lin) == Obstacle.DECIDED
    assert Event.objects.filter(kind="card_confirmed").count() == 1


@pytest.mark.parametrize("action", ["confirm", "refuse"])
def test_librarian_of_another_institution_decides_nothing(action: str) -> None:
    make_library()
    ada = make_member(ADA, programme=make_programme(), now=NOW)
    stranger = make_librarian(make_institution("halle"), "lin.of.halle@example.test")
    assert obstacle(action, ada.card_id, stranger) == Obstacle.NOT_YOURS
    assert Card.objects.get().state == Card.State.CLAIMED


def test_member_and_former_librarian_decide_nothing(lin: User) -> None:
    ada = make_member(ADA, programme=make_programme(), now=NOW)
    assert obstacle("confirm", ada.card_id, ada.user) == Obstacle.NOT_YOURS
    User.objects.filter(pk=lin.pk).update(is_active=False)
    assert obstacle("confirm", ada.card_id, User.objects.get(pk=lin.pk)) == Obstacle.NOT_YOURS


def test_librarian_does_not_decide_about_the_own_card(lin: User) -> None:
    own = make_member(lin.email, programme=make_programme(), now=NOW)
    assert obstacle("confirm", own.card_id, lin) == Obstacle.OWN_CARD


def test_coordinator_decides_for_every_institution() -> None:
    make_library()
    ada = make_member(ADA, programme=make_programme(), now=NOW)
    card_checking.confirm(card_id=ada.card_id, by=make_coordinator(), now=LATER)
    ada.refresh_from_db()
    assert ada.state == State.SEATED


def test_confirming_the_disputed_card_refuses_the_first_in_the_same_transaction(lin: User) -> None:
    programme = make_programme(cap=1)
    squatter = make_member(ADA, programme=programme, number="21000001", now=NOW)
    owner = make_member(BO, programme=programme, number="21000001", now=NOW)
    card_checking.confirm(card_id=owner.card_id, by=lin, now=LATER)
    squatter.refresh_from_db()
    owner.refresh_from_db()
    assert (squatter.state, squatter.card.refusal) == (State.ENDED, "taken")
    assert (owner.state, owner.passed_over) == (State.SEATED, False)
    assert letters(squatter) == [("card_refused", "taken")]
    assert letters(owner) == [("card_confirmed", ""), ("seat_given", "")]


def test_confirming_the_first_refuses_everyone_who_disputed(lin: User) -> None:
    programme = make_programme(cap=5)
    owner = make_member(ADA, programme=programme, number="21000001", now=NOW)
    others = [make_member(mail, programme=programme, number="21000001", now=NOW) for mail in (BO, CY)]
    card_checking.confirm(card_id=owner.card_id, by=lin, now=LATER)
    for other in others:
        other.refresh_from_db()
    assert [(other.state, other.card.refusal) for other in others] == [(State.ENDED, "taken")] * 2


def test_refusing_the_first_hands_the_number_to_the_oldest_dispute(lin: User) -> None:
    programme = make_programme(cap=5)
    first = make_member(ADA, programme=programme, number="21000001", now=NOW)
    second = make_member(BO, programme=programme, number="21000001", now=NOW)
    third = make_member(CY, programme=programme, number="21000001", now=NOW)
    card_checking.refuse(card_id=first.card_id, reason=Card.Refusal.NOT_YOURS, by=lin, now=LATER)
    for enrollment in (second, third):
        enrollment.refresh_from_db()
    assert (second.card.state, second.state) == (Card.State.CLAIMED, State.HELD)
    assert (third.card.state, third.state, third.passed_over) == (Card.State.DISPUTED, State.WAITING, True)


def test_one_decision_reaches_the_applications_in_every_programme(lin: User) -> None:
    first, second = make_programme("first"), make_programme("second", cap=0)
    seated = make_member(ADA, programme=first, number="21000001", now=NOW)
    waiting = make_member(ADA, programme=second, number="21000001", now=NOW)
    card_checking.refuse(card_id=seated.card_id, reason=Card.Refusal.UNKNOWN, by=lin, now=LATER)
    for enrollment in (seated, waiting):
        enrollment.refresh_from_db()
    assert (seated.state, waiting.state) == (State.ENDED, State.ENDED)
    first.pool.refresh_from_db()
    assert first.pool.taken == 0


def test_unseen_rival_in_the_time_of_grace_loses_no_place(lin: User) -> None:
    """Until both claims have been seen side by side."""
    make_library()
    programme = make_programme()
    ada = make_member(programme=programme, number="21000001", now=NOW)
    card_checking.confirm(card_id=ada.card_id, by=lin, now=NOW)
    day_before = NOW.date() - timedelta(days=1)
    Card.objects.update(
        state=Card.State.CLAIMED, valid_until=day_before, decided_at=None, decided_how="", decided_by=None
    )
    cy = make_member("cy@example.test", programme=programme, number="21000001", now=NOW)
    with pytest.raises(card_checking.CannotDecide) as caught:
        card_checking.confirm(card_id=cy.card_id, by=lin, now=NOW, over_confirmed=False)
    ada.refresh_from_db()
    assert (caught.value.obstacle, ada.state) == (Obstacle.RIVAL_HAS_PLACE, Enrollment.State.SEATED)
    card_checking.confirm(card_id=cy.card_id, by=lin, now=NOW)
    ada.refresh_from_db()
    assert ada.state == Enrollment.State.ENDED
