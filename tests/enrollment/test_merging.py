"""Two accounts of one person become one: the older claim stays, nobody else's turn comes later."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from catalog.models import Programme
from enrollment import ending, merging, prioritizing, waiting_list
from enrollment.merge_plan import Obstacle, Why
from enrollment.models import Enrollment, Event, EventNote, Letter, SeatPool
from libraries.models import Card, Library, User
from tests.factories import (
    NOW,
    make_coordinator,
    make_institution,
    make_librarian,
    make_library,
    make_member,
    make_programme,
    make_user,
)
from tests.merges import ADA, BO, CY, LATER, accounts, again, check, confirm, enlarge, merge, told

State = Enrollment.State


@pytest.fixture
def permeke(db: None) -> Library:
    return make_library()


@pytest.fixture
def halle(permeke: Library) -> Library:
    return make_library("Halle", make_institution("halle"))


@pytest.fixture
def mo(permeke: Library) -> User:
    return make_coordinator()


@pytest.fixture
def programme(halle: Library) -> Programme:
    """Nobody gets a place yet."""
    return make_programme(cap=0)


# --- Who may, and whom ---


@pytest.mark.parametrize("obstacle", Obstacle)
def test_accounts_that_cannot_be_merged(obstacle: Obstacle, programme: Programme, mo: User) -> None:
    ada = make_member(ADA, programme=programme).user
    bo, by, words = make_member(BO, programme=programme).user, mo, "Because"
    match obstacle:
        case Obstacle.NOT_COORDINATOR:
            by = make_librarian()
        case Obstacle.NO_WORDS:
            words = "  "
        case Obstacle.UNKNOWN:
            bo = User(pk=999_999)
        case Obstacle.SAME:
            bo = ada
        case Obstacle.YOURSELF:
            bo = mo
        case Obstacle.STAFF:
            bo = make_librarian()
        case Obstacle.INACTIVE:
            User.objects.filter(pk=bo.pk).update(is_active=False)
        case Obstacle.UNPROVED:
            User.objects.filter(pk=ada.pk).update(address_proved_at=None)
    before = list(Enrollment.objects.order_by("pk").values())
    with pytest.raises(merging.CannotMerge) as caught:
        merging.merge(keep_user_id=ada.pk, other_user_id=bo.pk, words=words, by=by, now=LATER)
    assert caught.value.obstacle == obstacle
    assert list(Enrollment.objects.order_by("pk").values()) == before


def test_person_with_a_role_is_staff_even_outside_the_workplace(programme: Programme, mo: User) -> None:
    lin = make_librarian()
    User.objects.filter(pk=lin.pk).update(is_staff=False)
    with pytest.raises(merging.CannotMerge) as caught:
        merge(make_user(), lin, mo)
    assert caught.value.obstacle == Obstacle.STAFF


# --- Which application stays ---


def test_of_two_who_wait_the_older_application_stays(programme: Programme, mo: User) -> None:
    bo = make_member(BO, programme=programme, now=NOW)
    ada = make_member(ADA, programme=programme, now=NOW + timedelta(minutes=1))
    plan = merge(ada, bo, mo)
    assert [(fate.stays, fate.ends, fate.why) for fate in plan.fates] == [(bo, ada, Why.OLDER)]
    ada, bo = again(ada), again(bo)
    assert (bo.state, bo.user, bo.applied_at) == (State.WAITING, ada.user, NOW)
    assert (ada.state, ada.end_reason, ada.ended_at) == (State.ENDED, "merged", LATER)
    assert told("merged") == [(bo.pk, ada.pk, Why.OLDER)]
    assert told("withdrawn") == [(ada.pk, None, "merged")]


@pytest.mark.parametrize(("mine", "others"), [("held", "waiting"), ("seated", "waiting"), ("seated", "held")])
def test_standing_decides_before_the_time(mine: str, others: str, programme: Programme, mo: User) -> None:
    """Who is seated stays over who is held, and who is held over who waits: that one with the older time, since it may
    wait again. Who is seated is in no line any more."""
    ada = make_member(ADA, programme=programme, now=NOW)
    bo = make_member(BO, programme=programme, now=NOW)
    enlarge(programme, 2 if others == "held" else 1)
    waiting_list.serve(now=NOW)
    if mine == "seated":
        confirm(ada)
    Enrollment.objects.filter(pk=bo.pk).update(applied_at=NOW - timedelta(days=1))
    plan = merge(ada, bo, mo)
    why = Why.HAS_PLACE if mine == "seated" else Why.PLACE_HELD
    assert [(fate.stays, fate.ends, fate.why) for fate in plan.fates] == [(ada, bo, why)]
    older = NOW if mine == "seated" else NOW - timedelta(days=1)
    assert (again(ada).applied_at, again(ada).state) == (older, mine)
    assert SeatPool.objects.get().taken == 1


def test_freed_place_goes_to_who_is_next(programme: Programme, mo: User) -> None:
    enlarge(programme, 2)
    bo, ada = make_member(BO, programme=programme, now=NOW), make_member(ADA, programme=programme, now=NOW)
    cy = make_member(CY, programme=programme, now=NOW)
    merge(ada, bo, mo)
    assert [again(each).state for each in (bo, ada, cy)] == [State.HELD, State.ENDED, State.HELD]
    assert told("seat_ended") == [(ada.pk, None, "merged")]
    assert Letter.objects.filter(kind="seat_ended").count() == 0


def test_application_that_can_get_a_place_stays_over_one_that_is_passed_over(programme: Programme, mo: User) -> None:
    bo = make_member(BO, programme=programme, now=NOW)
    Enrollment.objects.filter(pk=bo.pk).update(passed_over=True)
    ada = make_member(ADA, programme=programme, now=LATER)
    plan = merge(ada, bo, mo)
    assert [(fate.stays, fate.why) for fate in plan.fates] == [(ada, Why.IN_LINE)]
    assert again(ada).applied_at == LATER  # who is passed over stands before nobody


def test_application_of_the_other_alone_moves_as_it_is(programme: Programme, mo: User, halle: Library) -> None:
    enlarge(programme, 1)
    bo = make_member(BO, programme=programme, library=halle, number="21000009", now=NOW)
    confirm(bo)
    before = Enrollment.objects.filter(pk=bo.pk).values().get()
    ada = make_user()
    merge(ada, bo, mo)
    assert Enrollment.objects.filter(pk=bo.pk).values().get() == before | {"user_id": ada.pk}
    assert again(bo).card.user_id == ada.pk
    assert told("merged") == [(bo.pk, None, Why.ONLY)]
    assert EventNote.objects.get().words == "The same person, seen at the desk."
    assert SeatPool.objects.get().taken == 1


def test_past_applications_come_along(programme: Programme, mo: User) -> None:
    bo = make_member(BO, programme=programme, now=NOW)
    ending.give_back(enrollment_id=bo.pk, by=bo.user, now=NOW)
    ada = make_member(ADA, programme=programme, now=NOW)
    merge(ada, bo, mo)
    assert again(bo).user == ada.user
    assert (again(ada).applied_at, again(ada).state) == (NOW, State.WAITING)
    assert told("merged") == [(bo.pk, None, "")]


def test_merging_an_empty_account_is_on_record_too(programme: Programme, mo: User) -> None:
    ada, bo = make_user(ADA), make_user(BO)
    merge(ada, bo, mo)
    event = Event.objects.get(kind="merged")
    assert (event.actor_id, event.old_value, event.new_value, event.enrollment_id) == (mo.pk, bo.pk, ada.pk, None)
    assert Letter.objects.count() == 0


# --- Whose turn it is ---


def line() -> list[str]:
    return list(Enrollment.objects.in_line().in_queue_order().values_list("user__email", flat=True))


def test_nobody_passes_or_is_passed_by_merging(programme: Programme, mo: User) -> None:
    members = [make_member(f"{n}@example.test", programme=programme, now=NOW + timedelta(minutes=n)) for n in range(6)]
    merge(members[4], members[1], mo)
    assert line() == [f"{n}@example.test" for n in (0, 4, 2, 3, 5)]


def test_claim_with_priority_keeps_its_place_among_those(programme: Programme, mo: User) -> None:
    """The time of the claim without priority would put it before somebody who came earlier with priority."""
    ada, cy, bo = (make_member(email, programme=programme, now=NOW) for email in (ADA, CY, BO))
    Enrollment.objects.filter(pk=cy.pk).update(applied_at=NOW + timedelta(minutes=1))
    Enrollment.objects.filter(pk=bo.pk).update(applied_at=NOW + timedelta(minutes=2))
    for each in (cy, bo):
        prioritizing.give(enrollment_id=each.pk, reason=prioritizing.Reason.ANOTHER, words="Work", by=mo, now=NOW)
    merge(ada, bo, mo)
    assert line() == [CY, ADA]
    assert Enrollment.objects.open().filter(priority=Enrollment.FIRST).count() == 2


def test_equal_numbers_at_two_institutions_stay_two_cards_and_two_people(
    programme: Programme, halle: Library, mo: User
) -> None:
    ada = make_member(ADA, programme=programme, number="21000001", now=NOW)
    cy = make_member(CY, programme=programme, library=halle, number="21000001", now=NOW)
    bo = make_member(BO, programme=programme, number="21000002", now=NOW)
    merge(ada, bo, mo)
    assert (again(cy).state, again(cy).user.email) == (State.WAITING, CY)
    assert Card.objects.get(pk=cy.card_id).state == Card.State.CLAIMED
    assert Card.objects.get(pk=ada.card_id).state == Card.State.CLAIMED


def test_one_person_keeps_cards_of_two_institutions_with_one_number(
    programme: Programme, halle: Library, mo: User
) -> None:
    second = make_programme("second", cap=0)
    ada = make_member(ADA, programme=programme, number="21000001", now=NOW)
    bo = make_member(BO, programme=second, library=halle, number="21000001", now=NOW)
    merge(ada, bo, mo)
    assert [(again(each).card.state, again(each).user.email) for each in (ada, bo)] == [("claimed", ADA)] * 2


# --- Cards ---


def test_of_one_number_claimed_twice_the_living_card_stays(programme: Programme, mo: User) -> None:
    """Bo's claim of the same number was disputed, so that this application could not get a place."""
    ada = make_member(ADA, programme=programme, number="21000001", now=NOW)
    second = make_programme("second", cap=0)
    bo = make_member(BO, programme=second, number="21000001", now=NOW)
    assert again(bo).passed_over
    plan = merge(ada, bo, mo)
    assert [(double.stays.pk, double.goes.pk) for double in plan.doubles] == [(ada.card_id, bo.card_id)]
    lapsed = Card.objects.get(pk=bo.card_id)
    assert (lapsed.state, lapsed.decided_how, lapsed.user) == (Card.State.LAPSED, "merged", ada.user)
    assert (again(bo).card_id, again(bo).passed_over) == (ada.card_id, False)
    assert told("merged") == [(bo.pk, None, Why.ONLY)]


def test_disputed_claim_moves_to_a_confirmed_card_and_gets_its_place(programme: Programme, mo: User) -> None:
    bo = make_member(BO, programme=programme, number="21000001", now=NOW)
    confirm(bo)
    second = make_programme("second", cap=1)
    ada = make_member(ADA, programme=second, number="21000001", now=NOW)
    assert again(ada).passed_over
    merge(ada, bo, mo)
    assert (again(ada).card_id, again(ada).state) == (bo.card_id, State.SEATED)
    assert Enrollment.objects.filter(user=ada.user, state=State.WAITING).get() == bo


def test_two_disputed_claims_leave_one_that_is_still_disputed(programme: Programme, mo: User) -> None:
    cy, bo, ada = (make_member(email, programme=programme, number="21000001", now=NOW) for email in (CY, BO, ADA))
    merge(ada, bo, mo)
    stays = again(bo)
    assert (stays.user.email, stays.passed_over, stays.card.state) == (ADA, True, Card.State.DISPUTED)
    assert again(cy).card.state == Card.State.CLAIMED
    assert Card.objects.get(pk=ada.card_id).state == Card.State.LAPSED


def test_unproved_card_without_an_application_is_let_go_to_who_disputed_it(programme: Programme, mo: User) -> None:
    bo = make_member(BO, programme=programme, number="21000002", now=NOW)
    ada = make_member(ADA, programme=programme, number="21000001", now=LATER)
    cy = make_member(CY, programme=make_programme("second", cap=1), number="21000001", now=LATER)
    assert again(cy).passed_over
    merge(ada, bo, mo)
    assert Card.objects.get(pk=ada.card_id).state == Card.State.LAPSED
    assert (again(cy).card.state, again(cy).state) == (Card.State.CLAIMED, State.HELD)


def test_proved_card_without_an_application_stays_proved(programme: Programme, mo: User) -> None:
    bo, ada = make_member(BO, programme=programme, now=NOW), make_member(ADA, programme=programme, now=LATER)
    confirm(ada)
    merge(ada, bo, mo)
    assert Card.objects.get(pk=ada.card_id).state == Card.State.CONFIRMED


def test_new_card_of_an_application_comes_along_or_is_cleared(programme: Programme, mo: User) -> None:
    second = make_programme("second", cap=0)
    ada, bo = make_member(ADA, programme=programme, now=NOW), make_member(BO, programme=programme, now=LATER)
    there = make_member(BO, programme=second, now=LATER)
    new = make_new_card(bo, "21000077")
    Enrollment.objects.filter(pk__in=[bo.pk, there.pk]).update(next_card=new)
    merge(ada, bo, mo)
    assert [again(each).next_card for each in (ada, bo, there)] == [None, None, new]
    assert Card.objects.get(pk=new.pk).state == Card.State.CLAIMED


def test_new_card_that_nothing_waits_for_is_let_go(programme: Programme, mo: User) -> None:
    ada, bo = make_member(ADA, programme=programme, now=NOW), make_member(BO, programme=programme, now=LATER)
    new = make_new_card(bo, "21000077")
    Enrollment.objects.filter(pk=bo.pk).update(next_card=new)
    merge(ada, bo, mo)
    assert Card.objects.get(pk=new.pk).state == Card.State.LAPSED


def test_new_card_that_the_other_account_has_already_is_the_same_card(programme: Programme, mo: User) -> None:
    ada = make_member(ADA, programme=programme, number="21000001", now=NOW)
    bo = make_member(BO, programme=make_programme("second", cap=0), number="21000077", now=NOW)
    new = make_new_card(ada, "21000077", state=Card.State.DISPUTED)
    Enrollment.objects.filter(pk=ada.pk).update(next_card=new)
    merge(ada, bo, mo)
    assert again(ada).next_card_id == bo.card_id


def make_new_card(enrollment: Enrollment, number: str, **fields: Any) -> Card:
    card = enrollment.card
    return Card.objects.create(
        user=enrollment.user,
        library=card.library,
        institution_id=card.institution_id,
        number=number,
        claimed_at=NOW,
        **fields,
    )


# --- The preview ---


def test_preview_changes_nothing_and_says_what_merging_does(programme: Programme, mo: User) -> None:
    bo, ada = make_member(BO, programme=programme, now=NOW), make_member(ADA, programme=programme, now=LATER)
    before = list(Enrollment.objects.order_by("pk").values())
    plan = merging.preview(keep_user_id=ada.user_id, other_user_id=bo.user_id, by=mo, now=LATER)
    assert list(Enrollment.objects.order_by("pk").values()) == before
    done = merge(ada, bo, mo, expected=plan.fingerprint)
    assert [(each.stays, each.ends, each.why) for each in done.fates] == [(bo, ada, Why.OLDER)]


def test_what_was_not_shown_is_not_done(programme: Programme, mo: User) -> None:
    bo, ada = make_member(BO, programme=programme, now=NOW), make_member(ADA, programme=programme, now=LATER)
    shown = merging.preview(keep_user_id=ada.user_id, other_user_id=bo.user_id, by=mo, now=LATER).fingerprint
    ending.give_back(enrollment_id=bo.pk, by=bo.user, now=LATER)
    with pytest.raises(merging.Overtaken) as caught:
        merge(ada, bo, mo, expected=shown)
    assert User.objects.get(email=BO).is_active
    merge(ada, bo, mo, expected=caught.value.plan.fingerprint)


def test_older_claim_is_suggested(programme: Programme, mo: User) -> None:
    ended = make_member(BO, programme=programme, now=NOW)
    ending.give_back(enrollment_id=ended.pk, by=ended.user, now=NOW)
    cy = make_member(CY, programme=programme, now=NOW + timedelta(minutes=1))
    ada = make_member(ADA, programme=programme, now=LATER)
    stranger = make_user("stranger@example.test")

    def suggested(*people: User) -> User:
        return User.objects.get(pk=merging.suggest(user_ids=[each.pk for each in people]))

    assert suggested(ada.user, cy.user) == cy.user
    assert suggested(ended.user, ada.user) == ada.user
    assert suggested(stranger, ended.user) == ended.user
    assert suggested(stranger, make_user("later@example.test")) == stranger


# --- One after the other ---


def test_accounts_can_be_merged_one_after_the_other(programme: Programme, mo: User) -> None:
    enlarge(programme, 2)
    rows = [make_member(email, programme=programme, now=NOW) for email in (CY, BO, ADA)]
    confirm(rows[0])
    confirm(rows[1])
    merge(rows[2], rows[1], mo)
    merge(User.objects.get(email=ADA), rows[0], mo)
    assert [(again(row).state, again(row).user.email) for row in rows] == [
        (State.SEATED, ADA),
        (State.ENDED, ADA),
        (State.ENDED, ADA),
    ]
    assert accounts() == [(ADA, True, True), (CY, False, True)]


def test_merged_account_can_be_merged_into_another(programme: Programme, mo: User) -> None:
    rows = [make_member(email, programme=programme, now=NOW) for email in (CY, BO, ADA)]
    merge(rows[2], rows[1], mo)
    merge(rows[0], User.objects.get(email=ADA), mo)
    assert {again(row).user.email for row in rows} == {CY}
    with pytest.raises(merging.CannotMerge) as caught:
        merge(User.objects.get(email=BO), User.objects.get(email=CY), mo)
    assert caught.value.obstacle == Obstacle.INACTIVE


def test_applying_goes_on_with_the_account_that_stays(programme: Programme, mo: User) -> None:
    bo, ada = make_member(BO, programme=programme, now=NOW), make_user()
    merge(ada, bo, mo)
    second = make_programme("second", cap=1)
    there = make_member(ADA, programme=second, number=bo.card.number, now=LATER)
    assert (there.card_id, there.state) == (bo.card_id, State.HELD)
    check()
