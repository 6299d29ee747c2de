"""What members read about a programme that ends: in the letters and under “My place”, as it is at that moment."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import pytest
from django.test import Client
from django.utils import timezone, translation
from django.utils.formats import date_format

from catalog.models import Programme
from enrollment import card_checking, closing, drafts, ending, waiting_list
from enrollment.closing import Plan
from enrollment.models import Enrollment, Letter, SeatPool
from libraries.models import Card, User
from tests.enrollment.views.visiting import words_of
from tests.factories import make_coordinator, make_librarian, make_library, make_member, make_programme
from tests.letters import check_complete

pytestmark = pytest.mark.django_db

EACH_LANGUAGE = pytest.mark.parametrize("language", ["nl", "fr", "en"])
TODAY = timezone.localdate()
CLOSES_ON, LAST_DAY = TODAY + timedelta(days=40), TODAY + timedelta(days=100)
TERM, BY_DAY = Plan(closes_on=CLOSES_ON), Plan(closes_on=CLOSES_ON, seats_end_on=LAST_DAY)


@pytest.fixture
def pool() -> SeatPool:
    make_library()
    return make_programme(cap=1).pool


@pytest.fixture
def mo() -> User:
    return make_coordinator()


def held(pool: SeatPool, email: str = "ada@example.test") -> Enrollment:
    return make_member(email, programme=pool.programme)


def seated(pool: SeatPool) -> Enrollment:
    enrollment = held(pool)
    card_checking.confirm(card_id=enrollment.card_id, by=make_librarian(), now=timezone.now())
    return enrollment


def waiting(pool: SeatPool) -> Enrollment:
    held(pool)
    return held(pool, "bo@example.test")


WHO: dict[str, Callable[[SeatPool], Enrollment]] = {"seated": seated, "held": held, "waiting": waiting}


def close(pool: SeatPool, plan: Plan, mo: User) -> None:
    closing.close(pool_id=pool.pk, plan=plan, reason="The contract ends", by=mo, now=timezone.now())


def reopen(pool: SeatPool, mo: User) -> None:
    closing.withdraw(pool_id=pool.pk, reason="It goes on", by=mo, now=timezone.now())


def letter_of(enrollment: Enrollment, kind: str = "programme_closes") -> Letter:
    return Letter.objects.owed().get(enrollment=enrollment, kind=kind)


def text_of(enrollment: Enrollment, kind: str = "programme_closes") -> str:
    User.objects.update(language="en")
    message = drafts.compose(letter_of(enrollment, kind))
    assert message is not None
    return str(message.body)


def on(day: date) -> str:
    with translation.override("en"):
        return date_format(day, "j F Y")


# --- Letters ---


@EACH_LANGUAGE
@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("plan", [TERM, BY_DAY])
def test_letter_about_the_end_is_complete(pool: SeatPool, mo: User, who: str, plan: Plan, language: str) -> None:
    enrollment = WHO[who](pool)
    close(pool, plan, mo)
    check_complete(letter_of(enrollment), language, page="my")
    reopen(pool, mo)
    check_complete(letter_of(enrollment), language, page="my")


def test_who_has_a_seat_reads_until_when_and_whether_it_can_be_renewed(pool: SeatPool, mo: User) -> None:
    ada = seated(pool)
    close(pool, TERM, mo)
    ada.refresh_from_db()
    assert ada.ends_at is not None
    text = text_of(ada)
    assert f"from {on(CLOSES_ON)} on, nobody gets a new place." in text
    assert f"your place simply stays yours until {on(timezone.localdate(ada.ends_at))}" in text
    assert "It cannot be renewed." in text
    close(pool, BY_DAY, mo)
    text = text_of(ada)
    assert f"your place stays yours until {on(LAST_DAY)}. That is earlier than" in text
    reopen(pool, mo)
    text = text_of(ada)
    assert "goes on after all" in text
    assert f"your place is yours until {on(timezone.localdate(ada.ends_at))}." in text


def test_seat_that_ends_before_the_programme_closes_may_be_renewed(pool: SeatPool, mo: User) -> None:
    ada = seated(pool)
    Enrollment.objects.filter(pk=ada.pk).update(ends_at=timezone.now() + timedelta(days=20))
    close(pool, TERM, mo)
    assert f"You may be able to renew it under “My place”, from 30 days before it ends, and before {on(CLOSES_ON)}" in (
        " ".join(text_of(ada).split())
    )


def test_who_is_held_reads_to_have_the_card_confirmed_in_time(pool: SeatPool, mo: User) -> None:
    ada = held(pool)
    Enrollment.objects.filter(pk=ada.pk).update(hold_until=timezone.now() + timedelta(days=200))
    close(pool, BY_DAY, mo)
    text = text_of(ada)
    assert f"we still hold a place for you until {on(LAST_DAY)}." in text
    assert f"It then lasts until {on(LAST_DAY)} at most." in text
    assert "ask them to confirm it in time" in text


def test_who_waits_reads_that_a_place_may_still_come_free_and_nothing_once_it_cannot(pool: SeatPool, mo: User) -> None:
    bo = waiting(pool)
    close(pool, TERM, mo)
    assert f"before {on(CLOSES_ON)} a place can still come free for you. We cannot promise it." in text_of(bo)
    Programme.objects.update(closes_on=TODAY)
    assert drafts.compose(letter_of(bo)) is None


def test_who_is_passed_over_reads_that_the_card_comes_first(pool: SeatPool, mo: User) -> None:
    ada = held(pool)
    waiting_list.lapse_holds(now=timezone.now() + timedelta(days=15))
    close(pool, TERM, mo)
    assert "has not confirmed your card yet: without that you cannot get a place." in text_of(ada)


def test_nobody_is_told_about_a_seat_that_has_ended(pool: SeatPool, mo: User) -> None:
    ada = held(pool)
    close(pool, TERM, mo)
    ending.give_back(enrollment_id=ada.pk, by=ada.user, now=timezone.now())
    assert drafts.compose(letter_of(ada)) is None


@EACH_LANGUAGE
@pytest.mark.parametrize("who", ["held", "waiting"])
def test_letter_about_an_application_that_ended_with_the_programme_is_complete(
    pool: SeatPool, mo: User, who: str, language: str
) -> None:
    enrollment = WHO[who](pool)
    close(pool, Plan(closes_on=TODAY), mo)
    closing.end_waiting(now=timezone.now() + timedelta(days=15))
    check_complete(letter_of(enrollment, "seat_ended"), language, page="my")


def test_end_of_the_application_is_told_kindly_and_asks_nobody_to_apply_again(pool: SeatPool, mo: User) -> None:
    ada, bo = held(pool), held(pool, "bo@example.test")
    close(pool, Plan(closes_on=TODAY), mo)
    closing.end_waiting(now=timezone.now() + timedelta(days=15))
    text = text_of(bo, "seat_ended")
    assert "No place came free for you in time. Thank you for your patience" in text
    assert "apply again" not in text.lower()
    assert "has not confirmed your card in time" in text_of(ada, "seat_ended")


@EACH_LANGUAGE
def test_refusal_after_closing_asks_nobody_to_apply_again(pool: SeatPool, mo: User, language: str) -> None:
    ada = held(pool)
    close(pool, Plan(closes_on=TODAY), mo)
    card_checking.refuse(card_id=ada.card_id, reason=Card.Refusal.EXPIRED, by=make_librarian(), now=timezone.now())
    check_complete(letter_of(ada, "card_refused"), language, page="my")
    assert "apply again" not in text_of(ada, "card_refused")


def test_who_applies_while_the_end_is_planned_reads_of_it(pool: SeatPool, mo: User) -> None:
    close(pool, TERM, mo)
    assert f"this programme ends. Before {on(CLOSES_ON)} a place can still" in text_of(waiting(pool), "in_queue")


def test_end_of_a_seat_that_was_cut_is_not_called_its_full_time(pool: SeatPool, mo: User) -> None:
    ada = seated(pool)
    close(pool, Plan(closes_on=TODAY, seats_end_on=TODAY), mo)
    ending.end_terms(now=timezone.now() + timedelta(days=1))
    assert "together with the programme itself." in text_of(ada, "seat_ended")
    assert "Your place ended, because the programme has ended" in my_place(ada)


def test_nobody_else_gets_what_is_given_back_after_closing(pool: SeatPool, mo: User) -> None:
    ada = seated(pool)
    close(pool, Plan(closes_on=TODAY), mo)
    client = Client()
    client.force_login(ada.user)
    address = f"/en/my/{ada.pk}/give-back/"
    assert "Somebody else gets it" not in words_of(client.get(address))
    assert "somebody else" not in words_of(client.post(address, follow=True))
    assert "somebody else" not in text_of(ada, "seat_ended")


# --- My place ---


def my_place(enrollment: Enrollment) -> str:
    client = Client()
    client.force_login(enrollment.user)
    return words_of(client.get("/en/my/"))


@pytest.mark.parametrize(
    ("who", "words"),
    [
        ("seated", f"Your place is yours until {on(LAST_DAY)}, instead of"),
        (
            "held",
            f"once your library has confirmed your card, it is yours. It then lasts until {on(LAST_DAY)} at most.",
        ),
        ("waiting", f"Before {on(CLOSES_ON)} a place can still come free for you."),
    ],
)
def test_my_place_says_that_the_programme_ends(pool: SeatPool, mo: User, who: str, words: str) -> None:
    enrollment = WHO[who](pool)
    assert "This programme ends" not in my_place(enrollment)
    close(pool, BY_DAY, mo)
    page = my_place(enrollment)
    assert "This programme ends" in page
    assert words in page


def test_my_place_tells_why_the_application_ended(pool: SeatPool, mo: User) -> None:
    bo = waiting(pool)
    close(pool, Plan(closes_on=TODAY), mo)
    closing.end_waiting(now=timezone.now())
    assert "Your application ended, because the programme has ended" in my_place(bo)
