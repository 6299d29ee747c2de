"""Another card for a claim: seat and place stay, the count moves when both shares allow, and nobody else is told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from io import BytesIO

import pytest

from catalog.models import Programme
from enrollment import asking, cap, card_checking, ending, moving, waiting_list
from enrollment.cap_plan import Plan, Terms
from enrollment.models import Enrollment, Event, Letter, SeatPool, Share
from enrollment.reports.audit import audit
from libraries import rosters
from libraries.cards.checks import Outcome
from libraries.models import Card, Institution, Library, User
from tests.factories import (
    ADDRESS,
    NOW,
    make_coordinator,
    make_institution,
    make_librarian,
    make_library,
    make_member,
    make_programme,
)
from tests.letters import check_complete

pytestmark = pytest.mark.django_db

State = Enrollment.State
LATER = NOW + timedelta(days=2)
BORN = "18/05/1993"


@dataclass(frozen=True)
class World:
    programme: Programme
    permeke: Library
    halle: Library
    lin: User
    hal: User
    mo: User

    @property
    def pool(self) -> SeatPool:
        return SeatPool.objects.get(programme=self.programme)

    def share_of(self, library: Library) -> Share:
        return Share.objects.get(pool__programme=self.programme, institution=library.institution)


@pytest.fixture
def world() -> World:
    permeke, halle = make_library(), make_library("Halle", make_institution("halle"))
    lin = make_librarian(permeke.institution)
    hal = make_librarian(halle.institution, "hal@example.test")
    return World(make_programme(cap=2), permeke, halle, lin, hal, make_coordinator())


@pytest.fixture
def ada(world: World) -> Enrollment:
    """Seated, on a card of Antwerp."""
    ada = make_member(programme=world.programme, library=world.permeke, number="21000001", now=NOW)
    card_checking.confirm(card_id=ada.card_id, by=world.lin, now=NOW)
    return fresh(ada)


def fresh(enrollment: Enrollment) -> Enrollment:
    return Enrollment.objects.select_related("card", "next_card", "share", "user").get(pk=enrollment.pk)


def change(enrollment: Enrollment, library: Library, number: str, fact: str | None = None) -> Enrollment:
    told = moving.NewCard(library=library, number=number, second_fact=fact)
    moving.change_card(enrollment_id=enrollment.pk, told=told, by=enrollment.user, address=ADDRESS, now=LATER)
    return fresh(enrollment)


def put_on_list(institution: Institution, *numbers: str, until: str = "2030-01-01") -> None:
    institution.card_check = Institution.CardCheck.ROSTER
    institution.save()
    lines = "".join(f"{number};1993-05-18;{until}\n" for number in numbers)
    source = BytesIO(f"number;birth_date;valid_until\n{lines}".encode())
    rosters.import_roster(institution=institution, source=source, by=None, now=NOW)


def kinds_of(enrollment: Enrollment) -> list[str]:
    events = Event.objects.filter(enrollment_id=enrollment.pk).order_by("at", "id")
    return list(events.values_list("kind", flat=True))


def obstacle_of(enrollment: Enrollment, library: Library, number: str, by: User | None = None) -> str:
    told = moving.NewCard(library=library, number=number)
    with pytest.raises(moving.CannotMove) as caught:
        moving.change_card(enrollment_id=enrollment.pk, told=told, by=by or enrollment.user, address=ADDRESS, now=LATER)
    return caught.value.obstacle


@pytest.fixture(autouse=True)
def seats_agree(world: World) -> object:
    """After each test every rule holds, and every counter."""
    yield
    assert [finding.check.name for finding in audit(now=LATER) if not finding.holds] == []


# --- A card that has to be checked ---


def test_seat_stands_on_the_old_card_until_the_new_one_is_confirmed(world: World, ada: Enrollment) -> None:
    ada = change(ada, world.permeke, "21000002")
    assert (ada.state, ada.card.number, ada.share.taken) == (State.SEATED, "21000001", 1)
    assert ada.next_card is not None
    assert (ada.next_card.number, ada.next_card.state) == ("21000002", Card.State.CLAIMED)
    card_checking.confirm(card_id=ada.next_card.pk, by=world.lin, now=LATER)
    ada = fresh(ada)
    assert (ada.state, ada.card.number, ada.next_card) == (State.SEATED, "21000002", None)
    assert kinds_of(ada)[-3:] == ["new_card", "card_confirmed", "card_changed"]


def test_refused_new_card_leaves_the_seat_where_it_was(world: World, ada: Enrollment) -> None:
    ada = change(ada, world.permeke, "21000002")
    assert ada.next_card is not None
    card_checking.refuse(card_id=ada.next_card.pk, reason=Card.Refusal.UNKNOWN, by=world.lin, now=LATER)
    ada = fresh(ada)
    assert (ada.state, ada.card.number, ada.next_card) == (State.SEATED, "21000001", None)
    assert kinds_of(ada)[-2:] == ["new_card", "new_card_refused"]
    letter = Letter.objects.get(kind=Letter.Kind.NEW_CARD_REFUSED)
    for language in ("nl", "fr", "en"):
        text = check_complete(letter, language, page="my")
    assert "The library does not know this card number." in text


def test_held_seat_is_given_when_the_new_card_is_confirmed_and_the_old_claim_is_let_go(world: World) -> None:
    bo = make_member("bo@example.test", programme=world.programme, library=world.permeke, number="21000005", now=NOW)
    bo = change(bo, world.permeke, "21000006")
    assert bo.next_card is not None
    card_checking.confirm(card_id=bo.next_card.pk, by=world.lin, now=LATER)
    bo = fresh(bo)
    assert (bo.state, bo.card.number) == (State.SEATED, "21000006")
    assert Card.objects.get(number="21000005").state == Card.State.LAPSED


def test_third_card_takes_the_place_of_the_second_that_still_waits(world: World, ada: Enrollment) -> None:
    change(ada, world.permeke, "21000002")
    ada = change(ada, world.permeke, "21000003")
    assert ada.next_card is not None
    assert ada.next_card.number == "21000003"
    assert Card.objects.get(number="21000002").state == Card.State.LAPSED


def test_giving_back_lets_both_cards_go(world: World) -> None:
    bo = make_member("bo@example.test", programme=world.programme, library=world.permeke, number="21000005", now=NOW)
    change(bo, world.halle, "31000006")
    ending.give_back(enrollment_id=bo.pk, by=bo.user, now=LATER)
    assert fresh(bo).next_card is None
    assert set(Card.objects.values_list("state", flat=True)) == {Card.State.LAPSED}


def test_number_of_somebody_else_is_disputed_and_says_nothing(world: World, ada: Enrollment) -> None:
    cy = make_member("cy@example.test", programme=world.programme, library=world.permeke, number="21000009", now=NOW)
    card_checking.confirm(card_id=cy.card_id, by=world.lin, now=NOW)
    ada = change(ada, world.permeke, "21000009")
    assert ada.next_card is not None
    assert (ada.state, ada.card.number, ada.next_card.state) == (State.SEATED, "21000001", Card.State.DISPUTED)
    assert fresh(cy).state == State.SEATED


def test_equal_numbers_of_two_institutions_are_two_cards(world: World, ada: Enrollment) -> None:
    cy = make_member("cy@example.test", programme=world.programme, library=world.halle, number="21000001", now=NOW)
    ada = change(ada, world.permeke, "21000002")
    assert ada.next_card is not None
    card_checking.confirm(card_id=ada.next_card.pk, by=world.lin, now=LATER)
    assert (fresh(cy).state, fresh(cy).card.state) == (State.HELD, Card.State.CLAIMED)


# --- A card that is proved at once ---


def test_proved_card_of_another_institution_moves_the_count(world: World, ada: Enrollment) -> None:
    put_on_list(world.halle.institution, "31000001")
    ada = change(ada, world.halle, "31000001", BORN)
    assert (ada.state, ada.card.number) == (State.SEATED, "31000001")
    assert ada.share == world.share_of(world.halle)
    assert (world.share_of(world.permeke).taken, world.share_of(world.halle).taken, world.pool.taken) == (0, 1, 1)
    assert kinds_of(ada)[-3:] == ["card_confirmed", "card_changed", "moved"]
    letter = Letter.objects.get(kind=Letter.Kind.CARD_CHANGED)
    for language in ("nl", "fr", "en"):
        text = check_complete(letter, language, page="my")
    assert "You have your place." in text


def test_who_waits_keeps_the_place_when_moving(world: World, ada: Enrollment) -> None:
    make_member("x@example.test", programme=world.programme, library=world.permeke, now=NOW)
    bo = make_member("bo@example.test", programme=world.programme, library=world.permeke, now=NOW)
    cy = make_member("cy@example.test", programme=world.programme, library=world.permeke, now=NOW)
    put_on_list(world.halle.institution, "31000001")
    bo = change(bo, world.halle, "31000001", BORN)
    assert (bo.share.institution, bo.applied_at) == (world.halle.institution, NOW)
    assert [waiting_list.place_of(each) for each in (bo, fresh(cy))] == [1, 2]


def test_wrong_second_fact_changes_nothing(world: World, ada: Enrollment) -> None:
    put_on_list(world.halle.institution, "31000001")
    with pytest.raises(asking.CardNotAccepted) as caught:
        change(ada, world.halle, "31000001", "19/05/1993")
    assert caught.value.outcome == Outcome.UNKNOWN_OR_WRONG
    assert (fresh(ada).card.number, fresh(ada).next_card) == ("21000001", None)


def test_proof_takes_the_number_from_who_claims_it_without(world: World, ada: Enrollment) -> None:
    cy = make_member("cy@example.test", programme=world.programme, library=world.halle, number="31000001", now=NOW)
    put_on_list(world.halle.institution, "31000001")
    ada = change(ada, world.halle, "31000001", BORN)
    assert ada.card.number == "31000001"
    assert (fresh(cy).state, fresh(cy).end_reason) == (State.ENDED, "card_refused")


# --- When both shares allow ---


def test_full_ceiling_lets_the_count_wait_for_the_next_seat_there(world: World, ada: Enrollment) -> None:
    put_on_list(world.halle.institution, "31000001", "31000002", "31000003")
    cy = make_member(
        "cy@example.test", programme=world.programme, library=world.halle, number="31000002", second_fact=BORN, now=NOW
    )
    set_terms(world, world.halle, Terms(ceiling=1))
    bo = make_member(
        "bo@example.test", programme=world.programme, library=world.halle, number="31000003", second_fact=BORN, now=NOW
    )
    ada = change(ada, world.halle, "31000001", BORN)
    assert (ada.state, ada.card.number, ada.share) == (State.SEATED, "31000001", world.share_of(world.permeke))
    assert movers_in(world) is True
    ending.give_back(enrollment_id=cy.pk, by=cy.user, now=LATER)
    assert fresh(ada).share == world.share_of(world.halle)
    assert movers_in(world) is False
    assert fresh(bo).state == State.WAITING


def test_what_is_guaranteed_to_the_old_institution_stays_there(world: World, ada: Enrollment) -> None:
    """Both places are taken, one of them is Antwerp's by right: were it counted in Halle, none would be left for it."""
    put_on_list(world.halle.institution, "31000001")
    make_member("bo@example.test", programme=world.programme, library=world.permeke, now=NOW)
    set_terms(world, world.permeke, Terms(floor=2))
    ada = change(ada, world.halle, "31000001", BORN)
    assert ada.share == world.share_of(world.permeke)
    cap.change(pool_id=world.pool.pk, plan=Plan(cap=3), reason="More", by=world.mo, now=LATER)
    assert fresh(ada).share == world.share_of(world.halle)


def test_preview_counts_those_who_move(world: World, ada: Enrollment) -> None:
    put_on_list(world.halle.institution, "31000001", "31000002")
    set_terms(world, world.halle, Terms(ceiling=0))
    change(ada, world.halle, "31000001", BORN)
    make_member(
        "cy@example.test", programme=world.programme, library=world.halle, number="31000002", second_fact=BORN, now=NOW
    )
    plan = Plan(shares={world.share_of(world.halle).pk: Terms(ceiling=1)})
    foreseen = cap.preview(pool_id=world.pool.pk, plan=plan, by=world.mo, now=LATER)
    given = cap.change(
        pool_id=world.pool.pk, plan=plan, reason="One", by=world.mo, now=LATER, expected=foreseen.fingerprint
    )
    assert (foreseen.given, list(given)) == (0, [])
    assert fresh(ada).share == world.share_of(world.halle)


def movers_in(world: World) -> bool:
    return world.pool.has_movers


def set_terms(world: World, library: Library, terms: Terms) -> None:
    plan = Plan(shares={world.share_of(library).pk: terms})
    cap.change(pool_id=world.pool.pk, plan=plan, reason="Test", by=world.mo, now=NOW)


# --- By a librarian ---


def test_librarian_with_the_card_in_hand_changes_it_at_once(world: World, ada: Enrollment) -> None:
    told = moving.NewCard(library=world.permeke, number="21000002")
    moving.change_card_by_staff(enrollment_id=ada.pk, told=told, by=world.lin, now=LATER)
    ada = fresh(ada)
    assert (ada.state, ada.card.number, ada.card.decided_by) == (State.SEATED, "21000002", world.lin)
    assert kinds_of(ada)[-2:] == ["card_confirmed", "card_changed"]


def test_barcode_of_a_book_is_no_card(world: World, ada: Enrollment) -> None:
    world.permeke.institution.number_patterns = "21######"
    told = moving.NewCard(library=world.permeke, number="9789022332276")
    with pytest.raises(moving.CannotMove) as caught:
        moving.change_card_by_staff(enrollment_id=ada.pk, told=told, by=world.lin, now=LATER)
    assert (caught.value.obstacle, fresh(ada).card.number) == (moving.Obstacle.NO_SUCH_NUMBER, "21000001")


def test_new_card_ends_no_place_of_another_in_its_time_of_grace(world: World, ada: Enrollment) -> None:
    cy = make_member("cy@example.test", programme=world.programme, library=world.permeke, number="21000009", now=NOW)
    card_checking.confirm(card_id=cy.card_id, by=world.lin, now=NOW)
    Card.objects.filter(pk=cy.card_id).update(
        state=Card.State.CLAIMED, valid_until=date(2026, 7, 1), decided_at=None, decided_how="", decided_by=None
    )
    told = moving.NewCard(library=world.permeke, number="21000009")
    with pytest.raises(moving.CannotMove) as caught:
        moving.change_card_by_staff(enrollment_id=ada.pk, told=told, by=world.lin, now=LATER)
    assert (caught.value.obstacle, fresh(cy).state) == (moving.Obstacle.RIVAL_HAS_PLACE, State.SEATED)


def test_librarian_settles_a_claim_without_proof_but_not_a_confirmed_one(world: World, ada: Enrollment) -> None:
    cy = make_member("cy@example.test", programme=world.programme, library=world.permeke, number="21000009", now=NOW)
    told = moving.NewCard(library=world.permeke, number="21000009")
    card_checking.confirm(card_id=cy.card_id, by=world.lin, now=NOW)
    with pytest.raises(moving.CannotMove) as caught:
        moving.change_card_by_staff(enrollment_id=ada.pk, told=told, by=world.lin, now=LATER)
    assert caught.value.obstacle == moving.Obstacle.CONFIRMED_RIVAL
    assert fresh(ada).card.number == "21000001"


@pytest.mark.parametrize("who", ["hal", "lin"])
def test_librarian_moves_nobody_from_or_to_another_institution(world: World, ada: Enrollment, who: str) -> None:
    told = moving.NewCard(library=world.halle, number="31000001")
    with pytest.raises(moving.CannotMove) as caught:
        moving.change_card_by_staff(enrollment_id=ada.pk, told=told, by=getattr(world, who), now=LATER)
    assert caught.value.obstacle == moving.Obstacle.NOT_YOURS


def test_coordinator_moves_between_institutions_but_not_their_own(world: World, ada: Enrollment) -> None:
    told = moving.NewCard(library=world.halle, number="31000001")
    moving.change_card_by_staff(enrollment_id=ada.pk, told=told, by=world.mo, now=LATER)
    assert fresh(ada).share == world.share_of(world.halle)
    own = make_member("mo@example.test", programme=world.programme, library=world.permeke, now=NOW)
    with pytest.raises(moving.CannotMove) as caught:
        moving.change_card_by_staff(enrollment_id=own.pk, told=told, by=world.mo, now=LATER)
    assert caught.value.obstacle == moving.Obstacle.OWN_CARD


# --- What cannot be ---


def test_what_stands_against_another_card_is_named(world: World, ada: Enrollment) -> None:
    cy = make_member("cy@example.test", programme=world.programme, library=world.halle, now=NOW)
    elsewhere = make_library("Gent", make_institution("gent"))
    assert obstacle_of(ada, world.permeke, "21000001") == moving.Obstacle.UNCHANGED
    assert obstacle_of(ada, elsewhere, "41000001") == moving.Obstacle.NOT_TAKING_PART
    assert obstacle_of(ada, world.permeke, "21000002", by=cy.user) == moving.Obstacle.NOT_YOURS
    ending.give_back(enrollment_id=ada.pk, by=ada.user, now=LATER)
    assert obstacle_of(ada, world.permeke, "21000002") == moving.Obstacle.ENDED


def test_same_card_is_proved_again_after_it_has_expired(world: World) -> None:
    put_on_list(world.permeke.institution, "21000001", until="2026-07-04")
    ada = make_member(programme=world.programme, library=world.permeke, number="21000001", second_fact=BORN, now=NOW)
    assert ada.card.valid_until == date(2026, 7, 4)
    put_on_list(world.permeke.institution, "21000001", until="2027-07-04")
    ada = fresh(ada)
    told = moving.NewCard(library=world.permeke, number="21000001", second_fact=BORN)
    when = NOW + timedelta(days=3)
    moving.change_card(enrollment_id=ada.pk, told=told, by=ada.user, address=ADDRESS, now=when)
    assert fresh(ada).card.valid_until == date(2027, 7, 4)


def test_new_card_is_taken_back_by_its_owner_alone(world: World, ada: Enrollment) -> None:
    cy = make_member("cy@example.test", programme=world.programme, library=world.halle, now=NOW)
    change(ada, world.halle, "31000001")
    with pytest.raises(moving.CannotMove) as caught:
        moving.take_back(enrollment_id=ada.pk, by=cy.user, now=LATER)
    assert caught.value.obstacle == moving.Obstacle.NOT_YOURS
    assert [moving.take_back(enrollment_id=ada.pk, by=ada.user, now=LATER) for _ in range(2)] == [True, False]
    assert (fresh(ada).next_card, Card.objects.get(number="31000001").state) == (None, Card.State.LAPSED)
    assert kinds_of(ada)[-1] == "new_card_dropped"


def test_move_that_a_floor_held_back_is_made_when_the_floor_is_lent(world: World, ada: Enrollment) -> None:
    put_on_list(world.halle.institution, "31000001")
    make_member("bo@example.test", programme=world.programme, library=world.permeke, now=NOW)
    tomorrow = (LATER + timedelta(days=1)).date()
    set_terms(world, world.permeke, Terms(floor=2, lends_from=tomorrow))
    assert change(ada, world.halle, "31000001", BORN).share == world.share_of(world.permeke)
    waiting_list.serve(now=LATER + timedelta(days=1))
    assert fresh(ada).share == world.share_of(world.halle)
