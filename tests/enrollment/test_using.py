"""A seat that nobody uses: a reminder, a week, and then it is for somebody who waits; where the programme says so."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from catalog.models import Programme
from enrollment import card_checking, using
from enrollment.models import Enrollment, Event, Letter, ProviderAccount
from libraries.models import User
from tests.factories import NOW, make_librarian, make_library, make_member, make_programme
from tests.letters import check_complete

pytestmark = pytest.mark.django_db

State = Enrollment.State
READY = NOW + timedelta(hours=1)
REMINDED = READY + timedelta(days=23)
OVER = REMINDED + timedelta(days=7)


@pytest.fixture
def lin() -> User:
    return make_librarian(make_library().institution)


@pytest.fixture
def programme(lin: User) -> Programme:
    return make_programme(cap=1, unused_days=30)


@pytest.fixture
def ada(programme: Programme, lin: User) -> Enrollment:
    return make_ready(make_member(programme=programme, now=NOW), lin)


def make_ready(enrollment: Enrollment, lin: User) -> Enrollment:
    """Seated, with an account that the provider has opened."""
    card_checking.confirm(card_id=enrollment.card_id, by=lin, now=NOW)
    ProviderAccount.objects.update(seen="active", seen_at=READY, due_at=None)
    Letter.objects.owe(Letter.Kind.ACCOUNT_READY, enrollment, now=READY)
    return fresh(enrollment)


def fresh(enrollment: Enrollment) -> Enrollment:
    return Enrollment.objects.select_related("card", "user").get(pk=enrollment.pk)


def send(moment: datetime) -> None:
    Letter.objects.filter(sent_at=None).update(due_at=None, sent_at=moment)


def test_first_start_is_kept_once(ada: Enrollment) -> None:
    assert [using.start(enrollment_id=ada.pk, now=NOW + timedelta(days=n)) for n in (1, 2)] == [True, False]
    assert fresh(ada).used_at == NOW + timedelta(days=1)
    assert Event.objects.filter(kind="started", enrollment_id=ada.pk).count() == 1


def test_who_waits_or_has_ended_does_not_start(programme: Programme, ada: Enrollment) -> None:
    bo = make_member("bo@example.test", programme=programme, now=NOW)
    assert using.start(enrollment_id=bo.pk, now=NOW) is False


def test_unused_seat_is_reminded_once_a_week_before_it_ends(ada: Enrollment) -> None:
    assert using.remind(now=REMINDED - timedelta(minutes=1)) == 0
    assert [using.remind(now=REMINDED) for _ in range(2)] == [1, 0]
    assert ada.letters.filter(kind=Letter.Kind.SEAT_UNUSED).count() == 1


def test_unused_seat_ends_a_week_after_the_reminder_has_left(ada: Enrollment, programme: Programme) -> None:
    bo = make_member("bo@example.test", programme=programme, now=NOW)
    using.remind(now=REMINDED)
    assert using.end_unused(now=OVER) == 0
    send(REMINDED)
    assert using.end_unused(now=OVER - timedelta(minutes=1)) == 0
    assert [using.end_unused(now=OVER) for _ in range(2)] == [1, 0]
    assert (fresh(ada).state, fresh(ada).end_reason, fresh(bo).state) == (State.ENDED, "unused", State.HELD)
    assert ada.letters.get(kind=Letter.Kind.SEAT_ENDED).reason == "unused"


def test_seat_used_after_the_reminder_stays(ada: Enrollment) -> None:
    using.remind(now=REMINDED)
    send(REMINDED)
    using.start(enrollment_id=ada.pk, now=REMINDED + timedelta(days=1))
    assert using.end_unused(now=OVER) == 0


def test_seat_that_could_not_be_used_is_not_reminded(programme: Programme, lin: User) -> None:
    ada = make_member(programme=programme, now=NOW)
    card_checking.confirm(card_id=ada.card_id, by=lin, now=NOW)
    assert using.remind(now=OVER) == 0


def test_programme_that_does_not_mind_reminds_nobody(lin: User) -> None:
    make_ready(make_member(programme=make_programme("calm", cap=1), now=NOW), lin)
    assert using.remind(now=OVER) == 0


@pytest.mark.parametrize("language", ["nl", "fr", "en"])
def test_letters_about_an_unused_seat_are_complete(ada: Enrollment, language: str) -> None:
    using.remind(now=REMINDED)
    check_complete(ada.letters.get(kind=Letter.Kind.SEAT_UNUSED), language, page="my")
    send(REMINDED)
    using.end_unused(now=OVER)
    check_complete(ada.letters.get(kind=Letter.Kind.SEAT_ENDED), language, page="join")


def test_programme_that_has_closed_takes_no_unused_seat(ada: Enrollment, programme: Programme) -> None:
    using.remind(now=REMINDED)
    send(REMINDED)
    Programme.objects.update(closes_on=OVER.date())
    assert using.end_unused(now=OVER) == 0


def test_reminder_that_could_not_be_sent_takes_no_seat(ada: Enrollment) -> None:
    using.remind(now=REMINDED)
    Letter.objects.filter(kind=Letter.Kind.SEAT_UNUSED).update(due_at=None, dropped_at=REMINDED)
    assert using.end_unused(now=OVER) == 0
