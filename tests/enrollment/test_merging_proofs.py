"""Of two accounts that become one: what either had proved, or used, counts for the seat that stays."""

from __future__ import annotations

import pytest

from catalog.models import Programme
from enrollment import card_checking, moving, waiting_list
from enrollment.models import Enrollment
from libraries.models import Library, User
from tests.factories import (
    ADDRESS,
    NOW,
    make_coordinator,
    make_institution,
    make_library,
    make_member,
    make_programme,
)
from tests.merges import ADA, BO, LATER, again, check, confirm, enlarge, merge

State = Enrollment.State


@pytest.fixture
def halle(db: None) -> Library:
    make_library()
    return make_library("Halle", make_institution("halle"))


@pytest.fixture
def mo(halle: Library) -> User:
    return make_coordinator()


@pytest.fixture
def programme(halle: Library) -> Programme:
    """Nobody gets a place yet."""
    return make_programme(cap=0)


def test_new_card_that_is_proved_by_merging_carries_the_place(programme: Programme, mo: User, halle: Library) -> None:
    """Ada gave a number that her other account had confirmed."""
    enlarge(programme, 1)
    ada = make_member(ADA, programme=programme, number="21000001", now=NOW)
    confirm(ada)
    bo = make_member(BO, programme=make_programme("second", cap=1), library=halle, number="31000001", now=NOW)
    card_checking.confirm(card_id=bo.card_id, by=mo, now=NOW)
    new_card = moving.NewCard(library=halle, number="31000001")
    moving.change_card(enrollment_id=ada.pk, told=new_card, by=ada.user, address=ADDRESS, now=LATER)
    merge(ada, bo, mo)
    ada = again(ada)
    assert (ada.card.number, ada.next_card, ada.state) == ("31000001", None, State.SEATED)
    assert ada.share.institution == halle.institution
    check()


def test_proved_card_of_the_one_that_ends_takes_the_place_of_an_unproved_one(
    programme: Programme, mo: User, halle: Library
) -> None:
    ada = make_member(ADA, programme=programme, number="21000001", now=NOW)
    enlarge(programme, 1)
    waiting_list.serve(now=NOW)
    bo = make_member(BO, programme=programme, library=halle, number="31000001", now=NOW)
    card_checking.confirm(card_id=bo.card_id, by=mo, now=NOW)
    assert again(ada).state == State.HELD
    merge(ada, bo, mo)
    assert (again(ada).state, again(ada).card.number) == (State.SEATED, "31000001")
    check()


def test_seat_that_either_used_is_a_used_one(programme: Programme, mo: User) -> None:
    enlarge(programme, 2)
    ada, bo = (make_member(email, programme=programme, now=NOW) for email in (ADA, BO))
    for each in (ada, bo):
        confirm(each)
    Enrollment.objects.filter(pk=bo.pk).update(used_at=LATER)
    merge(ada, bo, mo)
    assert again(ada).used_at == LATER
