"""A person's wish to be erased: what they have ends at once, the next gets it, and every account is owed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from catalog.models import Programme
from enrollment import applying, card_checking, ending, erasing, history, merging
from enrollment.erase_plan import Obstacle, people_of
from enrollment.models import Enrollment, Erasure, Event, EventNote, Letter, ProviderAccount
from enrollment.reports.certificate import certificate_of
from libraries.models import Card, User
from tests import merges
from tests.erasures import LATER, erase_here, erasures, providers_obey, send_letters
from tests.factories import (
    ADDRESS,
    NOW,
    make_application,
    make_coordinator,
    make_institution,
    make_librarian,
    make_library,
    make_member,
    make_programme,
    make_provider,
    make_user,
)
from tests.letters import check_complete

__all__ = ["erasures"]
pytestmark = pytest.mark.django_db

State, Kind = Enrollment.State, Event.Kind


@pytest.fixture
def programme() -> Programme:
    make_library()
    return make_programme(cap=1)


@pytest.fixture
def ada(programme: Programme) -> Enrollment:
    """She has the one place, and an account that is owed."""
    ada = make_member(programme=programme, number="21000001", now=NOW)
    card_checking.confirm(card_id=ada.card_id, by=make_librarian(), now=NOW)
    return Enrollment.objects.get(pk=ada.pk)


def ask(enrollment: Enrollment, by: User | None = None, **more: Any) -> Erasure:
    user = enrollment.user
    return erasing.ask(user_id=user.pk, by=by or user, now=LATER, **more)


def refused(user: User, by: User) -> Obstacle:
    with pytest.raises(erasing.CannotErase) as caught:
        erasing.ask(user_id=user.pk, by=by, now=LATER)
    assert not Erasure.objects.exists()
    return caught.value.obstacle


def told(kind: str) -> list[tuple[int | None, int | None, str]]:
    events = Event.objects.filter(kind=kind).order_by("pk")
    return list(events.values_list("enrollment_id", "actor_id", "reason"))


# --- At once ---


def test_place_ends_who_is_next_gets_it_and_the_account_is_owed(ada: Enrollment, programme: Programme) -> None:
    bo = make_member("bo@example.test", programme=programme, now=NOW)
    erasure = ask(ada)
    ada.refresh_from_db()
    bo.refresh_from_db()
    assert (ada.state, ada.end_reason, bo.state) == (State.ENDED, "erased", State.HELD)
    account = ProviderAccount.objects.get(user=ada.user)
    assert (account.must_be_active, account.must_be_erased, account.due_at) == (False, True, LATER)
    assert (erasure.user_id, erasure.asked_at, erasure.asked_by_id) == (ada.user_id, LATER, None)
    assert len(erasure.code) == 32
    assert told(Kind.SEAT_ENDED) == [(ada.pk, ada.user_id, "erased")]
    assert told(Kind.ERASURE_ASKED) == [(ada.pk, ada.user_id, "")]
    merges.check()


def test_nobody_signs_in_any_more_and_only_the_last_letter_leaves(ada: Enrollment, programme: Programme) -> None:
    Letter.objects.owe(Letter.Kind.CARD_CONFIRMED, ada, now=NOW)
    ask(ada)
    assert not User.objects.get(pk=ada.user_id).is_active
    owed = Letter.objects.owed().filter(user=ada.user)
    assert list(owed.values_list("kind", flat=True)) == ["erasure_asked"]
    assert len(send_letters()) == 1


@pytest.mark.parametrize("language", ["nl", "fr", "en"])
def test_letter_is_complete_and_leads_to_the_proof(language: str, ada: Enrollment) -> None:
    code = ask(ada).code
    check_complete(Letter.objects.get(kind="erasure_asked"), language, page=f"erased/{code}")


def test_twice_is_once(ada: Enrollment) -> None:
    first, second = ask(ada), ask(ada)
    assert first == second
    assert ProviderAccount.objects.get().version == 1 + 1  # opened, and erased
    assert len(told(Kind.ERASURE_ASKED)) == 1


def test_turn_in_the_queue_is_lost_and_nobody_else_moves_back(ada: Enrollment, programme: Programme) -> None:
    bo = make_member("bo@example.test", programme=programme, now=NOW)
    ask(bo)
    bo.refresh_from_db()
    assert (bo.state, bo.end_reason, told(Kind.WITHDRAWN)) == (State.ENDED, "erased", [(bo.pk, bo.user_id, "erased")])
    merges.check()


def test_proved_card_goes_to_who_disputed_it(ada: Enrollment, programme: Programme) -> None:
    rival = make_member("bo@example.test", programme=programme, number="21000001", now=NOW)
    assert rival.card.state == Card.State.DISPUTED
    ask(ada)
    rival.refresh_from_db()
    rival.card.refresh_from_db()
    assert (rival.card.state, rival.state) == (Card.State.CLAIMED, State.HELD)
    merges.check()


def test_number_is_free_for_a_newcomer_also_for_the_same_person(ada: Enrollment, programme: Programme) -> None:
    ask(ada)
    told = make_application(number="21000001")
    back = applying.apply(
        user=make_user("new@example.test"), pool=programme.pool, application=told, address=ADDRESS, now=LATER
    )
    assert (back.card.state, back.state) == (Card.State.CLAIMED, State.HELD)


def test_every_account_at_every_provider_is_owed(ada: Enrollment) -> None:
    other = make_provider("other", name="Other")
    old = ProviderAccount.objects.create(user=ada.user, provider=other, must_be_active=False, external_id=uuid4())
    ask(ada)
    old.refresh_from_db()
    assert (old.must_be_erased, old.due_at) == (True, LATER)


def test_account_that_is_being_opened_right_now_stays_owed(ada: Enrollment) -> None:
    account = ProviderAccount.objects.claim(now=LATER, lease=timedelta(seconds=40))
    assert account is not None
    ask(ada)
    ProviderAccount.objects.publish(account, due_at=None, seen="active", seen_at=LATER, remote_id="there")
    account.refresh_from_db()
    assert (account.must_be_erased, account.due_at, account.seen) == (True, LATER, "active")
    assert not account.is_ready


def test_person_without_anything_is_erased_without_a_letter(erasures: Path) -> None:
    user = make_user("nobody@example.test")
    erasing.ask(user_id=user.pk, by=user, now=LATER)
    assert not Letter.objects.exists()
    assert erasing.erase_due(now=LATER) == 2
    user.refresh_from_db()
    assert (user.email, Erasure.objects.get().finished_at) == (f"erased-{user.pk}@invalid", LATER)
    assert list(Event.objects.values_list("kind", "old_value")) == [
        ("erasure_asked", user.pk),
        ("erased", user.pk),
        ("erased", user.pk),
    ]


def test_address_that_nobody_proved_gets_no_letter(programme: Programme, erasures: Path) -> None:
    bo = make_member("bo@example.test", programme=programme, now=NOW)
    User.objects.filter(pk=bo.user_id).update(address_proved_at=None)
    ask(bo, make_librarian(), reason="asked_at_desk")
    assert not Letter.objects.filter(kind="erasure_asked").exists()
    assert erasing.erase_due(now=LATER) == 2


def test_accounts_that_were_put_together_are_erased_together(programme: Programme, erasures: Path) -> None:
    bo, cy, di = (make_member(f"{name}@example.test", programme=programme, now=NOW) for name in ("bo", "cy", "di"))
    ghost, mo = make_user("ghost@example.test"), make_coordinator()
    for other in (cy.user, di.user, ghost):
        merging.merge(keep_user_id=bo.user_id, other_user_id=other.pk, words="Same", by=mo, now=NOW)
    assert people_of(bo.user_id) == {bo.user_id, cy.user_id, di.user_id, ghost.pk}
    ask(bo)
    erase_here()
    assert set(User.objects.filter(is_active=False).values_list("email", flat=True)) == {
        f"erased-{pk}@invalid" for pk in people_of(bo.user_id)
    }


# --- Who may ---


def test_staff_are_not_erased_this_way_not_even_the_last_operator(ada: Enrollment) -> None:
    lin = User.objects.get(email="lin@example.test")
    root = User.objects.create_superuser("root@example.test", "x")
    assert [refused(each, each) for each in (lin, root)] == [Obstacle.STAFF] * 2
    assert refused(lin, root) == Obstacle.STAFF


def test_librarian_erases_for_their_own_institution_and_says_how_they_know(ada: Enrollment) -> None:
    lin = User.objects.get(email="lin@example.test")
    erasure = ask(ada, lin, reason="asked_at_desk")
    assert erasure.asked_by_id == lin.pk
    assert told(Kind.ERASURE_ASKED) == [(ada.pk, lin.pk, "asked_at_desk")]


def test_librarian_of_another_institution_and_other_members_erase_nobody(ada: Enrollment) -> None:
    stranger = make_librarian(make_institution("halle"), "hal@example.test")
    assert [refused(ada.user, by) for by in (stranger, make_user("cy@example.test"))] == [Obstacle.NOT_YOURS] * 2


def test_what_stands_at_two_institutions_is_for_a_coordinator(ada: Enrollment) -> None:
    halle = make_library("Halle", make_institution("halle"))
    second = make_programme("second")
    make_member(programme=second, library=halle, number="31000001", now=NOW)
    assert refused(ada.user, User.objects.get(email="lin@example.test")) == Obstacle.ELSEWHERE
    assert ask(ada, make_coordinator(), reason="asked_in_writing").user_id == ada.user_id


def test_nothing_else_is_done_than_what_was_shown(ada: Enrollment) -> None:
    shown = erasing.preview(user_id=ada.user_id, by=ada.user).fingerprint
    ending.give_back(enrollment_id=ada.pk, by=ada.user, now=LATER)
    with pytest.raises(erasing.Overtaken) as caught:
        ask(ada, expected=shown)
    assert (caught.value.plan.ending, Erasure.objects.count()) == ([], 0)
    ask(ada, expected=caught.value.plan.fingerprint)


def test_closed_account_is_not_asked_about(ada: Enrollment) -> None:
    User.objects.filter(pk=ada.user_id).update(is_active=False)
    assert refused(ada.user, make_coordinator()) == Obstacle.UNKNOWN


# --- Here, and everywhere ---


def test_letter_leaves_first_then_the_data_are_erased(ada: Enrollment, erasures: Path) -> None:
    ask(ada)
    assert erasing.erase_due(now=LATER) == 0
    assert User.objects.get(pk=ada.user_id).email == "ada@example.test"
    erasure = erase_here()
    user = User.objects.get(pk=ada.user_id)
    assert (user.email, user.full_name, user.address_proved_at) == (f"erased-{user.pk}@invalid", "", None)
    assert (erasure.erased_here_at, erasure.finished_at) == (LATER, None)
    assert Letter.objects.get(kind="erasure_asked").sent_at == LATER


def test_letter_that_cannot_leave_delays_it_by_a_day_at_most(ada: Enrollment, erasures: Path) -> None:
    ask(ada)
    assert erasing.erase_due(now=LATER + timedelta(hours=23)) == 0
    assert erasing.erase_due(now=LATER + timedelta(hours=24)) == 1
    letter = Letter.objects.get(kind="erasure_asked")
    assert (letter.due_at, letter.sent_at, letter.dropped_at) == (None, None, LATER + timedelta(hours=24))


def test_letter_that_is_being_sent_is_waited_for(ada: Enrollment, erasures: Path) -> None:
    ask(ada)
    late = LATER + timedelta(days=2)
    letter = Letter.objects.filter(user=ada.user).claim(now=late, lease=timedelta(seconds=45))
    assert letter is not None
    assert erasing.erase_due(now=late) == 0
    assert Letter.objects.publish(letter, due_at=None, sent_at=late)
    assert erasing.erase_due(now=late) == 1


def test_letter_whose_sender_slept_past_its_lease_does_not_leave_any_more(ada: Enrollment, erasures: Path) -> None:
    """Renewed right before it leaves; it would have gone out with the data in it, as one that was dropped."""
    letter = Letter.objects.filter(user=ada.user).claim(now=NOW, lease=timedelta(seconds=45))
    assert letter is not None
    ask(ada)
    assert not Letter.objects.renew(letter, now=LATER, lease=timedelta(seconds=45))
    assert not Letter.objects.publish(letter, due_at=None, sent_at=LATER)
    assert Letter.objects.get(pk=letter.pk).dropped_at == LATER


def test_account_that_is_found_at_a_provider_again_makes_it_unfinished(ada: Enrollment, erasures: Path) -> None:
    """As a repair leaves it."""
    ask(ada)
    erase_here()
    providers_obey()
    erasing.erase_due(now=LATER)
    ProviderAccount.objects.update(erased_at=None, seen="unknown", seen_at=None, due_at=LATER)
    found = certificate_of(Erasure.objects.get().code)
    assert found is not None
    assert (found[0].finished_at, found[1][0].erased_at) == (None, None)
    assert (erasing.erase_due(now=LATER), Erasure.objects.get().finished_at) == (0, None)
    later = LATER + timedelta(days=1)
    providers_obey(later)
    assert (erasing.erase_due(now=later), Erasure.objects.get().finished_at) == (1, later)


def test_words_of_staff_go_and_the_events_stay(ada: Enrollment, erasures: Path) -> None:
    history.record(Kind.PRIORITY_GIVEN, now=NOW, enrollment=ada, words="Ada is ill")
    events = Event.objects.count()
    ask(ada)
    erase_here()
    assert (EventNote.objects.count(), Event.objects.count()) == (0, events + 3)


def test_it_is_finished_when_every_provider_has_no_account_any_more(ada: Enrollment, erasures: Path) -> None:
    ask(ada)
    erase_here()
    assert (erasing.erase_due(now=LATER), Erasure.objects.get().finished_at) == (0, None)
    assert providers_obey() == 1
    assert (erasing.erase_due(now=LATER), Erasure.objects.get().finished_at) == (1, LATER)
    assert [reason for _pk, _by, reason in told(Kind.ERASED)] == ["here", "everywhere"]
    assert erasing.erase_due(now=LATER) == 0


def test_one_that_fails_does_not_keep_the_others(
    ada: Enrollment,
    programme: Programme,
    erasures: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    bo = make_user("bo@example.test")
    first, second = ask(ada), erasing.ask(user_id=bo.pk, by=bo, now=LATER)
    send_letters()
    real = erasing.erase_here

    def failing(*, erasure_id: int, now: object) -> bool:
        if erasure_id == first.pk:
            raise RuntimeError("ada@example.test")
        return real(erasure_id=erasure_id, now=LATER)

    monkeypatch.setattr(erasing, "erase_here", failing)
    assert erasing.erase_due(now=LATER) == 2
    second.refresh_from_db()
    assert second.finished_at == LATER
    assert "ada@" not in caplog.text
