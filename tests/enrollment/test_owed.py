"""Work that is owed: claimed by one, published by whoever still holds it, and never forgotten."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from enrollment.models import Letter
from tests.factories import NOW, make_library, make_member, make_programme

pytestmark = pytest.mark.django_db

LEASE = timedelta(seconds=40)
LATER = NOW + LEASE


@pytest.fixture
def letter() -> Letter:
    make_library()
    make_member(programme=make_programme(), now=NOW)
    return Letter.objects.get()


def claim(now: datetime = NOW) -> Letter | None:
    return Letter.objects.claim(now=now, lease=LEASE)


def taken(now: datetime = NOW) -> Letter:
    row = claim(now)
    assert row is not None
    return row


def test_claim_takes_a_row_once(letter: Letter) -> None:
    assert claim() == letter
    assert claim() is None


def test_claim_takes_the_oldest_first(letter: Letter) -> None:
    older = Letter.objects.create(
        kind=letter.kind, enrollment=letter.enrollment, user=letter.user, owed_at=NOW, due_at=NOW - LEASE
    )
    assert [claim(), claim()] == [older, letter]


def test_claim_leaves_what_is_not_due_yet(letter: Letter) -> None:
    assert claim(NOW - timedelta(microseconds=1)) is None


def test_claim_leaves_what_is_stuck(letter: Letter) -> None:
    Letter.objects.update(stuck_at=NOW, trouble="no_answer")
    assert claim(LATER) is None


def test_claim_counts_each_attempt_also_of_those_who_never_came_back(letter: Letter) -> None:
    assert [taken(NOW + n * LEASE).attempts for n in range(3)] == [1, 2, 3]


def test_claim_follows_when_the_lease_has_run_out(letter: Letter) -> None:
    first = taken()
    assert claim(LATER - timedelta(microseconds=1)) is None
    second = taken(LATER)
    assert first.lease_token != second.lease_token


def test_publish_settles_what_was_claimed(letter: Letter) -> None:
    row = taken()
    assert Letter.objects.publish(row, due_at=None, sent_at=NOW)
    row.refresh_from_db()
    assert (row.due_at, row.sent_at, row.lease_token, row.lease_until) == (None, NOW, None, None)
    assert claim(LATER) is None


def test_publish_with_a_later_time_keeps_it_owed(letter: Letter) -> None:
    assert Letter.objects.publish(taken(), due_at=LATER, trouble="no_answer")
    assert claim(NOW) is None
    assert taken(LATER).trouble == "no_answer"


def test_publish_of_a_stale_holder_writes_nothing(letter: Letter) -> None:
    stale, holder = taken(), taken(LATER)
    assert not Letter.objects.publish(stale, due_at=None, sent_at=NOW)
    letter.refresh_from_db()
    assert (letter.sent_at, letter.lease_token) == (None, holder.lease_token)
    assert Letter.objects.publish(holder, due_at=None, sent_at=LATER)
    assert not Letter.objects.publish(stale, due_at=NOW, trouble="no_answer")


def test_publish_leaves_a_debt_made_meanwhile(letter: Letter) -> None:
    row = taken()
    Letter.objects.update(**Letter.debt(LATER))
    assert Letter.objects.publish(row, due_at=None, trouble="")
    letter.refresh_from_db()
    assert letter.due_at == LATER
    assert claim(LATER) == letter


def test_publish_of_what_got_stuck_leaves_a_debt_made_meanwhile_free(letter: Letter) -> None:
    row = taken()
    Letter.objects.update(**Letter.debt(LATER))
    assert Letter.objects.publish(row, due_at=row.due_at, stuck_at=NOW, trouble="refused")
    letter.refresh_from_db()
    assert (letter.due_at, letter.stuck_at) == (LATER, None)
    assert claim(LATER) == letter


def test_debt_makes_a_stuck_row_due_as_for_the_first_time(letter: Letter) -> None:
    Letter.objects.update(stuck_at=NOW, trouble="no_answer", attempts=20)
    Letter.objects.update(**Letter.debt(LATER))
    row = taken(LATER)
    assert (row.attempts, row.stuck_at, row.trouble, row.version) == (1, None, "", letter.version + 1)


def test_oldest_owed_passes_over_what_people_must_look_at(letter: Letter) -> None:
    assert Letter.objects.oldest_owed_at() == NOW
    Letter.objects.update(stuck_at=timezone.now(), trouble="no_answer")
    assert Letter.objects.oldest_owed_at() is None
