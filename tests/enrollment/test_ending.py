"""A seat ends once, the account's closing is owed before it is free, and whoever is next gets it."""

from datetime import timedelta

import pytest

from enrollment import card_checking, ending
from enrollment.models import Enrollment, Event, Letter, ProviderAccount
from tests.factories import NOW, make_institution, make_librarian, make_library, make_member, make_programme

pytestmark = pytest.mark.django_db

State = Enrollment.State
ADA, BO = "ada@example.test", "bo@example.test"


def test_give_back_frees_the_seat_for_the_next_and_owes_the_closing() -> None:
    make_library()
    programme = make_programme(cap=1)
    ada = make_member(ADA, programme=programme, now=NOW)
    card_checking.confirm(card_id=ada.card_id, by=make_librarian(), now=NOW)
    bo = make_member(BO, programme=programme, now=NOW)
    assert ending.give_back(enrollment_id=ada.pk, by=ada.user, now=NOW + timedelta(days=2)) is True
    ada.refresh_from_db()
    bo.refresh_from_db()
    assert (ada.state, ada.end_reason, bo.state) == (State.ENDED, "given_back", State.HELD)
    account = ProviderAccount.objects.get()
    assert (account.must_be_active, account.due_at) == (False, NOW + timedelta(days=2))
    letter = Letter.objects.get(kind="seat_ended")
    assert (letter.enrollment, letter.reason) == (ada, "given_back")


def test_give_back_twice_is_once() -> None:
    make_library()
    programme = make_programme(cap=2)
    ada = make_member(ADA, programme=programme, now=NOW)
    ended = [ending.give_back(enrollment_id=ada.pk, by=ada.user, now=NOW) for _ in range(2)]
    programme.pool.refresh_from_db()
    assert (ended, programme.pool.taken) == ([True, False], 0)
    assert Event.objects.filter(kind="seat_ended").count() == 1


def test_leaving_the_queue_frees_nothing_and_is_told_as_withdrawn() -> None:
    make_library()
    programme = make_programme(cap=0)
    ada = make_member(ADA, programme=programme, now=NOW)
    ending.give_back(enrollment_id=ada.pk, by=ada.user, now=NOW)
    ada.refresh_from_db()
    assert (ada.state, ada.end_reason) == (State.ENDED, "withdrawn")
    assert list(Event.objects.order_by("id").values_list("kind", flat=True)) == ["applied", "queued", "withdrawn"]


def test_end_by_staff_keeps_the_words_for_the_record() -> None:
    make_library()
    ada = make_member(ADA, programme=make_programme(), now=NOW)
    lin = make_librarian()
    ending.end_by_staff(enrollment_id=ada.pk, by=lin, now=NOW, words="Asked at the desk")
    event = Event.objects.get(kind="seat_ended")
    assert (event.actor_id, event.reason, event.note.words) == (lin.pk, "by_staff", "Asked at the desk")


def test_librarian_of_another_institution_ends_nothing() -> None:
    make_library()
    ada = make_member(ADA, programme=make_programme(), now=NOW)
    stranger = make_librarian(make_institution("halle"), "lin.of.halle@example.test")
    with pytest.raises(ending.NotYours):
        ending.end_by_staff(enrollment_id=ada.pk, by=stranger, now=NOW, words="No")
    ada.refresh_from_db()
    assert ada.state == State.HELD


def test_end_terms_ends_what_is_over_and_nothing_else() -> None:
    make_library()
    programme = make_programme(term_months=12)
    lin = make_librarian()
    over, running = (make_member(mail, programme=programme, now=NOW) for mail in (ADA, BO))
    card_checking.confirm(card_id=over.card_id, by=lin, now=NOW)
    card_checking.confirm(card_id=running.card_id, by=lin, now=NOW + timedelta(days=1))
    at_the_end = NOW.replace(year=2027)
    assert ending.end_terms(now=at_the_end - timedelta(seconds=1)) == 0
    assert ending.end_terms(now=at_the_end) == 1
    over.refresh_from_db()
    running.refresh_from_db()
    assert (over.state, over.end_reason, running.state) == (State.ENDED, "term_over", State.SEATED)
    assert ending.end_terms(now=at_the_end) == 0


def test_number_that_was_claimed_and_taken_back_is_its_owners() -> None:
    """Squatting does not pay, not even when the squatter leaves: whoever disputed is next, a newcomer is the first."""
    make_library()
    programme = make_programme(cap=3)
    squatter = make_member("mal@example.test", programme=programme, number="21000001", now=NOW)
    ada = make_member(ADA, programme=programme, number="21000001", now=NOW)
    assert (ada.card.state, ada.state) == ("disputed", State.WAITING)
    ending.give_back(enrollment_id=squatter.pk, by=squatter.user, now=NOW)
    squatter.card.refresh_from_db()
    ada = Enrollment.objects.get(pk=ada.pk)
    assert (squatter.card.state, ada.card.state, ada.state) == ("lapsed", "claimed", State.HELD)
    ending.give_back(enrollment_id=ada.pk, by=ada.user, now=NOW)
    bo = make_member(BO, programme=programme, number="21000001", now=NOW)
    assert (bo.card.state, bo.state) == ("claimed", State.HELD)


def test_unproved_card_stands_while_another_programme_needs_it() -> None:
    make_library()
    first, second = make_programme("first"), make_programme("second")
    one, two = (make_member(ADA, programme=each, number="21000001", now=NOW) for each in (first, second))
    ending.give_back(enrollment_id=one.pk, by=one.user, now=NOW)
    two = Enrollment.objects.get(pk=two.pk)
    assert (two.state, two.card.state) == (State.HELD, "claimed")
