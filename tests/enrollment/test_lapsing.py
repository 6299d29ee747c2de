"""A card whose last day is over: told at once, looked at again, and after a time of grace the seat goes on."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from catalog.models import Programme
from enrollment import card_checking, ending, lapsing, moving
from enrollment.models import Enrollment, Event, Letter
from enrollment.reports.audit import audit
from libraries.models import Card, Institution, Library, User
from tests.factories import ADDRESS, NOW, make_librarian, make_library, make_member, make_programme
from tests.letters import check_complete
from tests.rosters import put_on_roster

pytestmark = pytest.mark.django_db

State = Enrollment.State
LAST_DAY = date(2026, 7, 31)
GRACE, BORN = 30, "18/05/1993"
JUST_AFTER = datetime.combine(LAST_DAY + timedelta(days=1), NOW.timetz())
AFTER_GRACE = JUST_AFTER + timedelta(days=GRACE)


@pytest.fixture
def permeke() -> Library:
    return make_library()


@pytest.fixture
def lin(permeke: Library) -> User:
    return make_librarian(permeke.institution)


@pytest.fixture
def programme(permeke: Library) -> Programme:
    return make_programme(cap=1, card_grace_days=GRACE)


@pytest.fixture
def ada(programme: Programme, lin: User) -> Enrollment:
    """Seated, with a card that is good until the last of July."""
    return with_card_until(LAST_DAY, make_member(programme=programme, now=NOW), lin)


def with_card_until(day: date, enrollment: Enrollment, lin: User) -> Enrollment:
    card_checking.confirm(card_id=enrollment.card_id, by=lin, now=NOW, valid_until=day)
    return fresh(enrollment)


def fresh(enrollment: Enrollment) -> Enrollment:
    return Enrollment.objects.select_related("card", "user").get(pk=enrollment.pk)


def letters_of(enrollment: Enrollment) -> list[str]:
    return list(enrollment.letters.order_by("pk").values_list("kind", flat=True))


def send(moment: datetime) -> None:
    Letter.objects.filter(sent_at=None).update(due_at=None, sent_at=moment)


def test_nothing_happens_on_the_last_day(ada: Enrollment) -> None:
    assert lapsing.expire_cards(now=JUST_AFTER - timedelta(days=1)) == 0
    assert fresh(ada).card.state == Card.State.CONFIRMED


def test_expired_card_is_looked_at_again_and_the_member_told_once(ada: Enrollment) -> None:
    assert [lapsing.expire_cards(now=JUST_AFTER) for _ in range(2)] == [1, 0]
    ada = fresh(ada)
    assert (ada.state, ada.card.state, ada.card.valid_until) == (State.SEATED, Card.State.CLAIMED, LAST_DAY)
    assert letters_of(ada)[-1] == Letter.Kind.CARD_EXPIRED
    assert Event.objects.filter(kind="card_expired", enrollment_id=ada.pk).count() == 1
    assert [finding.check.name for finding in audit(now=JUST_AFTER) if not finding.holds] == []


def test_seat_ends_after_the_time_of_grace_and_goes_to_who_waits(ada: Enrollment, programme: Programme) -> None:
    bo = make_member("bo@example.test", programme=programme, now=NOW)
    lapsing.expire_cards(now=JUST_AFTER)
    send(JUST_AFTER)
    assert lapsing.end_lapsed(now=AFTER_GRACE - timedelta(days=1)) == 0
    assert [lapsing.end_lapsed(now=AFTER_GRACE) for _ in range(2)] == [1, 0]
    ada = fresh(ada)
    assert (ada.state, ada.end_reason, ada.card.state) == (State.ENDED, "card_lapsed", Card.State.LAPSED)
    assert letters_of(ada)[-1] == Letter.Kind.SEAT_ENDED
    assert fresh(bo).state == State.HELD


def test_nobody_loses_a_seat_before_the_letter_has_been_out_for_a_week(ada: Enrollment) -> None:
    lapsing.expire_cards(now=JUST_AFTER)
    assert lapsing.end_lapsed(now=AFTER_GRACE) == 0
    send(AFTER_GRACE)
    assert lapsing.end_lapsed(now=AFTER_GRACE + timedelta(days=6)) == 0
    assert lapsing.end_lapsed(now=AFTER_GRACE + timedelta(days=7)) == 1


def test_card_that_is_confirmed_again_keeps_the_seat(ada: Enrollment, lin: User) -> None:
    lapsing.expire_cards(now=JUST_AFTER)
    send(JUST_AFTER)
    card_checking.confirm(card_id=ada.card_id, by=lin, now=JUST_AFTER)
    assert (lapsing.expire_cards(now=AFTER_GRACE), lapsing.end_lapsed(now=AFTER_GRACE)) == (0, 0)
    ada = fresh(ada)
    assert (ada.state, ada.card.state, ada.card.valid_until) == (State.SEATED, Card.State.CONFIRMED, date(2027, 8, 1))


def test_new_card_that_waits_for_the_library_stops_the_clock(ada: Enrollment, permeke: Library) -> None:
    lapsing.expire_cards(now=JUST_AFTER)
    send(JUST_AFTER)
    told = moving.NewCard(library=permeke, number="21000002")
    moving.change_card(enrollment_id=ada.pk, told=told, by=ada.user, address=ADDRESS, now=JUST_AFTER)
    assert lapsing.end_lapsed(now=AFTER_GRACE) == 0


def test_programme_that_does_not_mind_leaves_the_card_alone(lin: User) -> None:
    calm = make_programme("calm", cap=1)
    ada = with_card_until(LAST_DAY, make_member(programme=calm, now=NOW), lin)
    assert lapsing.expire_cards(now=JUST_AFTER) == 0
    assert fresh(ada).card.state == Card.State.CONFIRMED


def test_who_waits_keeps_the_turn_and_gets_a_held_place(ada: Enrollment, programme: Programme, lin: User) -> None:
    bo = with_card_until(LAST_DAY, make_member("bo@example.test", programme=programme, now=NOW), lin)
    lapsing.expire_cards(now=JUST_AFTER)
    assert letters_of(bo)[-1] == Letter.Kind.CARD_EXPIRED
    ending.give_back(enrollment_id=ada.pk, by=ada.user, now=JUST_AFTER)
    bo = fresh(bo)
    assert (bo.state, bo.card.state) == (State.HELD, Card.State.CLAIMED)


@pytest.mark.parametrize("language", ["nl", "fr", "en"])
def test_letter_about_an_expired_card_says_until_when(
    ada: Enrollment, programme: Programme, lin: User, language: str
) -> None:
    bo = with_card_until(LAST_DAY, make_member("bo@example.test", programme=programme, now=NOW), lin)
    long_ago = date(2026, 7, 10)
    Card.objects.update(valid_until=long_ago)
    lapsing.expire_cards(now=JUST_AFTER)
    texts = [check_complete(each.letters.get(kind=Letter.Kind.CARD_EXPIRED), language, page="my") for each in (ada, bo)]
    if language == "en":
        assert "You keep your place in “Leerkaart” for now. Renew your card before" in texts[0]
        assert "You keep your turn in the queue for “Leerkaart”." in texts[1]


def test_two_programmes_on_one_card_each_keep_their_own_rule(ada: Enrollment, lin: User) -> None:
    calm = make_programme("calm", cap=1)
    number = ada.card.number
    other = make_member(programme=calm, number=number, now=NOW)
    lapsing.expire_cards(now=JUST_AFTER)
    send(JUST_AFTER)
    lapsing.end_lapsed(now=AFTER_GRACE)
    assert (fresh(ada).state, fresh(other).state) == (State.ENDED, State.SEATED)
    assert Letter.Kind.CARD_EXPIRED not in letters_of(other)


# --- What an expired card is not: a claim without proof ---


def by_roster(enrollment: Enrollment, until: date) -> None:
    institution = enrollment.card.institution
    institution.card_check = Institution.CardCheck.ROSTER
    institution.save()
    put_on_roster(institution, enrollment.card.number, BORN, valid_until=until)


def test_newer_list_renews_a_card_that_has_run_out(ada: Enrollment) -> None:
    lapsing.expire_cards(now=JUST_AFTER)
    send(JUST_AFTER)
    by_roster(ada, until=date(2027, 7, 31))
    assert [lapsing.renew_cards(now=AFTER_GRACE) for _ in range(2)] == [1, 0]
    ada = fresh(ada)
    assert (ada.card.state, ada.card.valid_until) == (Card.State.CONFIRMED, date(2027, 7, 31))
    assert (lapsing.end_lapsed(now=AFTER_GRACE), ada.state) == (0, State.SEATED)
    assert letters_of(ada)[-1] == Letter.Kind.CARD_CONFIRMED


def test_card_that_is_on_a_newer_list_does_not_expire(ada: Enrollment) -> None:
    by_roster(ada, until=date(2027, 7, 31))
    assert lapsing.expire_cards(now=JUST_AFTER) == 0
    assert Event.objects.filter(kind="card_extended", enrollment_id=ada.pk).count() == 1


def test_confirming_a_card_that_has_run_out_renews_it_for_a_year(ada: Enrollment, lin: User) -> None:
    lapsing.expire_cards(now=JUST_AFTER)
    card_checking.confirm(card_id=ada.card_id, by=lin, now=JUST_AFTER)
    assert fresh(ada).card.valid_until == date(2027, 8, 1)


def test_refusing_a_card_that_has_run_out_takes_no_place(ada: Enrollment, lin: User) -> None:
    lapsing.expire_cards(now=JUST_AFTER)
    with pytest.raises(card_checking.CannotDecide) as caught:
        card_checking.refuse(card_id=ada.card_id, reason=Card.Refusal.EXPIRED, by=lin, now=JUST_AFTER)
    assert caught.value.obstacle == card_checking.Obstacle.HAS_PLACE
    assert fresh(ada).state == State.SEATED


def test_old_card_is_not_refused_while_a_new_one_waits(ada: Enrollment, lin: User, permeke: Library) -> None:
    lapsing.expire_cards(now=JUST_AFTER)
    told = moving.NewCard(library=permeke, number="21000002")
    moving.change_card(enrollment_id=ada.pk, told=told, by=ada.user, address=ADDRESS, now=JUST_AFTER)
    with pytest.raises(card_checking.CannotDecide) as caught:
        card_checking.refuse(card_id=ada.card_id, reason=Card.Refusal.EXPIRED, by=lin, now=JUST_AFTER)
    assert caught.value.obstacle == card_checking.Obstacle.NEW_CARD_WAITS


def test_proof_of_somebody_else_does_not_take_a_place_whose_card_has_run_out(
    ada: Enrollment, programme: Programme
) -> None:
    lapsing.expire_cards(now=JUST_AFTER)
    by_roster(ada, until=date(2027, 7, 31))
    library = Library.objects.get(pk=ada.card.library_id)
    housemate = make_member(
        "cy@example.test",
        programme=programme,
        library=library,
        number=ada.card.number,
        second_fact=BORN,
        now=JUST_AFTER,
    )
    assert (housemate.card.state, fresh(ada).state) == (Card.State.DISPUTED, State.SEATED)


def test_refusal_of_the_new_card_gives_another_week(ada: Enrollment, lin: User, permeke: Library) -> None:
    lapsing.expire_cards(now=JUST_AFTER)
    send(JUST_AFTER)
    told = moving.NewCard(library=permeke, number="21000002")
    moving.change_card(enrollment_id=ada.pk, told=told, by=ada.user, address=ADDRESS, now=JUST_AFTER)
    new_card = fresh(ada).next_card_id
    assert new_card is not None
    card_checking.refuse(card_id=new_card, reason=Card.Refusal.UNKNOWN, by=lin, now=AFTER_GRACE)
    assert lapsing.end_lapsed(now=AFTER_GRACE) == 0
    send(AFTER_GRACE)
    assert lapsing.end_lapsed(now=AFTER_GRACE + timedelta(days=6)) == 0
    assert lapsing.end_lapsed(now=AFTER_GRACE + timedelta(days=7)) == 1
