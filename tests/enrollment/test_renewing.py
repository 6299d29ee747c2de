"""A term that ends is announced in time, and can be followed by another where the programme's rule allows it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from dateutil.relativedelta import relativedelta
from django.utils import timezone

from catalog.models import Programme
from enrollment import announcing, card_checking, drafts, ending, renewing
from enrollment.models import Enrollment, Event, Letter
from enrollment.renewing import Obstacle
from libraries.models import User
from tests.factories import NOW, make_librarian, make_library, make_member, make_programme

pytestmark = pytest.mark.django_db

ENDS = NOW + relativedelta(months=12)
IN_TIME = ENDS - timedelta(days=20)
ADA, BO = "ada@example.test", "bo@example.test"


@pytest.fixture
def ada() -> Enrollment:
    """She has the only place, for twelve months."""
    make_library()
    enrollment = make_member(ADA, programme=make_programme(cap=1), now=NOW)
    card_checking.confirm(card_id=enrollment.card_id, by=make_librarian(), now=NOW)
    return fresh(enrollment)


def fresh(enrollment: Enrollment) -> Enrollment:
    return Enrollment.objects.select_related("card", "pool__programme", "user").get(pk=enrollment.pk)


def set_programme(**fields: object) -> None:
    Programme.objects.update(**fields)


def told() -> list[str]:
    kinds = (Letter.Kind.TERM_ENDING, Letter.Kind.TERM_ENDS_SOON)
    return list(Letter.objects.filter(kind__in=kinds).order_by("id").values_list("kind", flat=True))


def test_end_is_announced_30_and_7_days_before_once_each(ada: Enrollment) -> None:
    assert ada.ends_at == ENDS
    days = [ENDS - timedelta(days=left) for left in (31, 30, 29, 8, 7, 6)]
    assert [renewing.announce_ends(now=day) for day in days] == [0, 1, 0, 0, 1, 0]
    assert told() == ["term_ending", "term_ends_soon"]


def test_late_sweep_sends_the_last_letter_alone(ada: Enrollment) -> None:
    assert renewing.announce_ends(now=ENDS - timedelta(days=3)) == 1
    assert told() == ["term_ends_soon"]


def test_end_is_not_announced_where_the_programme_does_not_want_it(ada: Enrollment) -> None:
    set_programme(announces_end=False)
    assert renewing.announce_ends(now=ENDS - timedelta(days=3)) == 0


def test_end_of_a_seat_given_back_is_not_announced(ada: Enrollment) -> None:
    ending.give_back(enrollment_id=ada.pk, by=ada.user, now=NOW)
    assert renewing.announce_ends(now=ENDS - timedelta(days=3)) == 0


def test_many_ends_are_announced_in_batches(ada: Enrollment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcing, "_BATCH", 1)
    assert renewing.announce_ends(now=ENDS - timedelta(days=3)) == 1


def test_renewed_seat_lasts_one_more_term_and_is_announced_again(ada: Enrollment) -> None:
    renewing.announce_ends(now=IN_TIME)
    renewed = renewing.renew(enrollment_id=ada.pk, by=ada.user, now=IN_TIME)
    assert renewed.ends_at == ENDS + relativedelta(months=12)
    assert Letter.objects.filter(kind="seat_renewed").count() == Event.objects.filter(kind="seat_renewed").count() == 1
    assert ending.end_terms(now=ENDS) == 0
    assert renewing.announce_ends(now=ENDS) == 0
    assert renewing.announce_ends(now=renewed.ends_at - timedelta(days=30)) == 1


def obstacle(ada: Enrollment, now: datetime = IN_TIME) -> Obstacle | None:
    """What the page says, and what the operation says, which are the same."""
    found = renewing.obstacle(fresh(ada), now=now)
    if found is None:
        return None
    with pytest.raises(renewing.CannotRenew) as caught:
        renewing.renew(enrollment_id=ada.pk, by=ada.user, now=now)
    assert caught.value.obstacle == found
    return found


def test_seat_is_not_renewed_while_somebody_waits_unless_the_programme_allows_it(ada: Enrollment) -> None:
    make_member(BO, programme=ada.pool.programme, now=NOW)
    assert obstacle(ada) == Obstacle.PEOPLE_WAIT
    set_programme(renewal=Programme.Renewal.ALWAYS)
    assert obstacle(ada) is None


def test_seat_is_not_renewed_against_the_rules(ada: Enrollment) -> None:
    assert obstacle(ada, ENDS - timedelta(days=31)) == Obstacle.TOO_EARLY
    assert obstacle(ada, ENDS) == Obstacle.NO_PLACE
    set_programme(renewal=Programme.Renewal.NEVER)
    assert obstacle(ada) == Obstacle.NEVER


def test_seat_of_a_programme_that_ends_is_not_renewed(ada: Enrollment) -> None:
    set_programme(closes_on=IN_TIME.date())
    assert obstacle(ada) == Obstacle.PROGRAMME_ENDS


def test_seat_is_not_renewed_with_a_card_that_has_expired(ada: Enrollment) -> None:
    ada.card.valid_until = (IN_TIME - timedelta(days=2)).date()
    ada.card.save()
    assert obstacle(ada) == Obstacle.CARD_EXPIRED


def test_seat_of_another_is_not_renewed(ada: Enrollment) -> None:
    with pytest.raises(renewing.CannotRenew, match="no_place"):
        renewing.renew(enrollment_id=ada.pk, by=make_librarian(email="li@example.test"), now=IN_TIME)


def test_seat_that_was_given_back_is_not_renewed(ada: Enrollment) -> None:
    ending.give_back(enrollment_id=ada.pk, by=ada.user, now=NOW)
    assert obstacle(ada) == Obstacle.NO_PLACE


def test_renewing_twice_is_once(ada: Enrollment) -> None:
    renewing.renew(enrollment_id=ada.pk, by=ada.user, now=IN_TIME)
    assert obstacle(ada) == Obstacle.TOO_EARLY


def test_letter_about_the_end_says_whether_the_seat_can_be_renewed(ada: Enrollment) -> None:
    """As things are when it is sent; after a renewal there is nothing to tell."""
    Enrollment.objects.filter(pk=ada.pk).update(ends_at=timezone.now() + timedelta(days=20))
    User.objects.update(language="en")
    Letter.objects.owe(Letter.Kind.TERM_ENDING, ada, now=NOW)
    letter = Letter.objects.get(kind="term_ending")
    assert "Renew your place under “My place”" in body_of(letter)
    make_member(BO, programme=ada.pool.programme, now=NOW)
    assert "People are waiting for a place" in body_of(letter)
    Enrollment.objects.filter(pk=ada.pk).update(ends_at=timezone.now() + timedelta(days=400))
    assert drafts.compose(letter) is None


def body_of(letter: Letter) -> str:
    message = drafts.compose(letter)
    assert message is not None
    return str(message.body)
