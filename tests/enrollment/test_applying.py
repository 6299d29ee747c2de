"""An application takes a seat the moment it is made, if there is one; every card is checked; nobody applies twice."""

from datetime import date, timedelta
from typing import Any

import pytest

from enrollment import applying, asking, card_checking, ending
from enrollment.eligibility import Reason
from enrollment.models import Enrollment, Event, Letter
from libraries.cards.checks import Outcome
from libraries.models import Card, Institution, RosterEntry
from tests.factories import (
    ADDRESS,
    NOW,
    make_application,
    make_institution,
    make_librarian,
    make_library,
    make_member,
    make_programme,
    make_user,
)
from tests.rosters import put_on_roster

pytestmark = pytest.mark.django_db

State = Enrollment.State
ADA, BO = "ada@example.test", "bo@example.test"


@pytest.fixture
def by_roster() -> Institution:
    institution = make_institution("halle", card_check=Institution.CardCheck.ROSTER)
    put_on_roster(institution, "21000001", "1944-05-18", valid_until=date(2027, 1, 1))
    return institution


def events_of(enrollment: Enrollment) -> list[str]:
    found = Event.objects.filter(enrollment_id=enrollment.pk).order_by("id")
    return list(found.values_list("kind", flat=True))


def letters_of(enrollment: Enrollment) -> list[str]:
    return list(Letter.objects.filter(enrollment=enrollment).order_by("id").values_list("kind", flat=True))


def refused_for(**application: object) -> list[Reason]:
    with pytest.raises(applying.Ineligible) as caught:
        make_member(**application)  # type: ignore[arg-type]
    return list(caught.value.reasons)


def test_apply_holds_a_seat_while_a_librarian_looks() -> None:
    make_library()
    ada = make_member(ADA, programme=make_programme(hold_days=14), now=NOW)
    assert (ada.state, ada.hold_until) == (State.HELD, NOW + timedelta(days=14))
    assert events_of(ada) == ["applied", "seat_held"]
    assert letters_of(ada) == ["seat_held"]
    assert (ada.privacy_language, ada.privacy_read_at) == ("nl", NOW)


def test_apply_waits_when_all_is_taken_and_never_passes_the_queue() -> None:
    make_library()
    programme = make_programme(cap=1)
    make_member(ADA, programme=programme, now=NOW)
    bo = make_member(BO, programme=programme, now=NOW)
    assert bo.state == State.WAITING
    assert events_of(bo) == ["applied", "queued"]
    assert letters_of(bo) == ["in_queue"]


def test_apply_seats_at_once_when_the_roster_proves_the_card(by_roster: Institution) -> None:
    library = make_library("Halle", by_roster)
    programme = make_programme()
    ada = make_member(ADA, programme=programme, library=library, number="21000001", second_fact="18/05/1944", now=NOW)
    assert ada.state == State.SEATED
    assert (ada.card.state, ada.card.valid_until) == (Card.State.CONFIRMED, date(2027, 1, 1))
    assert events_of(ada) == ["applied", "card_confirmed", "seat_given"]


@pytest.mark.parametrize("number", ["21000001", "29999999"])
def test_apply_tells_an_unknown_card_and_a_wrong_second_fact_alike(by_roster: Institution, number: str) -> None:
    programme = make_programme()
    with pytest.raises(asking.CardNotAccepted) as caught:
        make_member(
            ADA,
            programme=programme,
            library=make_library("Halle", by_roster),
            number=number,
            second_fact="19/05/1944",
            now=NOW,
        )
    assert caught.value.outcome == Outcome.UNKNOWN_OR_WRONG
    assert (Card.objects.count(), Enrollment.objects.count()) == (0, 0)


def test_apply_twice_is_one_application() -> None:
    make_library()
    programme = make_programme()
    first = make_member(ADA, programme=programme, number="21000001", now=NOW)
    assert make_member(ADA, programme=programme, number="21000001", now=NOW) == first
    assert refused_for(email=ADA, programme=programme, number="21000002", now=NOW) == [Reason.ALREADY_APPLIED]


def test_apply_again_after_giving_back_is_a_new_application_at_the_end() -> None:
    make_library()
    programme = make_programme(cap=1)
    ada = make_member(ADA, programme=programme, number="21000001", now=NOW)
    bo = make_member(BO, programme=programme, now=NOW)
    ending.give_back(enrollment_id=ada.pk, by=ada.user, now=NOW)
    again = make_member(ADA, programme=programme, number="21000001", now=NOW + timedelta(hours=1))
    bo.refresh_from_db()
    assert (bo.state, again.state, again.pk == ada.pk) == (State.HELD, State.WAITING, False)


def test_apply_with_another_persons_number_is_disputed_and_takes_no_seat() -> None:
    make_library()
    programme = make_programme(cap=5)
    make_member(ADA, programme=programme, number="21000001", now=NOW)
    bo = make_member(BO, programme=programme, number="21000001", now=NOW)
    assert (bo.card.state, bo.state, bo.passed_over) == (Card.State.DISPUTED, State.WAITING, True)
    assert events_of(bo) == ["applied", "card_disputed", "queued"]


def test_same_number_at_two_institutions_is_two_people() -> None:
    antwerpen, halle = make_library(), make_library("Halle", make_institution("halle"))
    programme = make_programme()
    ada = make_member(ADA, programme=programme, library=antwerpen, number="21000001", now=NOW)
    bo = make_member(BO, programme=programme, library=halle, number="21000001", now=NOW)
    assert (ada.card.state, bo.card.state) == (Card.State.CLAIMED, Card.State.CLAIMED)


def test_proof_beats_being_first(by_roster: Institution) -> None:
    """Ada claimed Bo's number while a librarian still looked; Bo proves it, and Ada's seat is free again."""
    library = make_library("Halle", by_roster)
    programme = make_programme(cap=1)
    Institution.objects.update(card_check=Institution.CardCheck.BY_HAND)
    by_hand = make_library("Halle", make_institution("halle"))
    ada = make_member(ADA, programme=programme, library=by_hand, number="21000001", now=NOW)
    Institution.objects.update(card_check=Institution.CardCheck.ROSTER)
    library.institution.refresh_from_db()
    bo = make_member(BO, programme=programme, library=library, number="21000001", second_fact="18/05/1944", now=NOW)
    ada.refresh_from_db()
    assert (ada.state, ada.end_reason, ada.card.refusal) == (State.ENDED, "card_refused", "taken")
    assert (bo.state, bo.card.state) == (State.SEATED, Card.State.CONFIRMED)
    programme.pool.refresh_from_db()
    assert programme.pool.taken == 1


def test_two_proofs_for_one_number_are_for_a_librarian_to_settle(by_roster: Institution) -> None:
    library = make_library("Halle", by_roster)
    programme = make_programme()
    facts: dict[str, Any] = {"library": library, "number": "21000001", "second_fact": "18/05/1944", "now": NOW}
    ada = make_member(ADA, programme=programme, **facts)
    bo = make_member(BO, programme=programme, **facts)
    assert (ada.card.state, bo.card.state) == (Card.State.CONFIRMED, Card.State.DISPUTED)
    lin = make_librarian(by_roster)
    card_checking.confirm(card_id=bo.card_id, by=lin, now=NOW)
    ada.refresh_from_db()
    bo.refresh_from_db()
    assert (ada.state, ada.card.state, bo.state) == (State.ENDED, Card.State.REFUSED, State.SEATED)


def test_second_programme_takes_the_same_card() -> None:
    make_library()
    first, second = make_programme("first"), make_programme("second")
    one = make_member(ADA, programme=first, number="21000001", now=NOW)
    two = make_member(ADA, programme=second, number="21000001", now=NOW)
    assert one.card_id == two.card_id


def test_apply_is_refused_before_opening_after_closing_and_for_strangers_to_the_programme() -> None:
    library = make_library()
    programme = make_programme(opens_on=date(2026, 7, 4))
    assert refused_for(email=ADA, programme=programme, library=library, now=NOW) == [Reason.NOT_OPEN_YET]
    closed = make_programme("closed", closes_on=date(2026, 7, 3))
    assert refused_for(email=ADA, programme=closed, library=library, now=NOW) == [Reason.CLOSED]
    elsewhere = make_programme("elsewhere", institutions=[])
    assert refused_for(email=ADA, programme=elsewhere, library=library, now=NOW) == [Reason.NOT_TAKING_PART]


def test_day_of_opening_is_counted_in_brussels() -> None:
    """22:30 UTC on 3 July is half past midnight on 4 July in Brussels."""
    make_library()
    programme = make_programme(opens_on=date(2026, 7, 4))
    ada = make_member(ADA, programme=programme, now=NOW.replace(hour=22, minute=30))
    assert ada.state == State.HELD


def test_invented_cards_cannot_fill_a_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    make_library()
    programme = make_programme()
    monkeypatch.setattr("enrollment.eligibility.UNPROVED_PER_INSTITUTION", 1)
    make_member(ADA, programme=programme, now=NOW)
    assert refused_for(email=BO, programme=programme, now=NOW) == [Reason.LIBRARY_BUSY]


def test_cards_of_applications_taken_back_do_not_keep_others_out(monkeypatch: pytest.MonkeyPatch) -> None:
    make_library()
    programme = make_programme()
    monkeypatch.setattr("enrollment.eligibility.UNPROVED_PER_INSTITUTION", 1)
    taken_back = make_member(ADA, programme=programme, now=NOW)
    ending.give_back(enrollment_id=taken_back.pk, by=taken_back.user, now=NOW)
    assert make_member(BO, programme=programme, now=NOW).state == State.HELD


def test_member_whose_card_is_confirmed_is_not_kept_out_by_others(monkeypatch: pytest.MonkeyPatch) -> None:
    make_library()
    first, second = make_programme(), make_programme("second")
    ada = make_member(ADA, programme=first, number="21000001", now=NOW)
    card_checking.confirm(card_id=ada.card_id, by=make_librarian(), now=NOW)
    monkeypatch.setattr("enrollment.eligibility.UNPROVED_PER_INSTITUTION", 0)
    assert make_member(ADA, programme=second, number="21000001", now=NOW).state == State.SEATED


def test_card_whose_confirmation_ran_out_is_looked_at_again() -> None:
    make_library()
    first, second = make_programme(), make_programme("second")
    ada, lin = make_member(ADA, programme=first, number="21000001", now=NOW), make_librarian()
    card_checking.confirm(card_id=ada.card_id, by=lin, now=NOW, valid_until=date(2026, 7, 10))
    later = NOW + timedelta(days=30)
    again = make_member(ADA, programme=second, number="21000001", now=later)
    assert (again.state, again.card_id, again.card.state) == (State.HELD, ada.card_id, Card.State.CLAIMED)
    card_checking.confirm(card_id=ada.card_id, by=lin, now=later, valid_until=date(2027, 7, 10))
    states = Enrollment.objects.filter(user=ada.user).values_list("state", flat=True)
    assert list(states) == [State.SEATED, State.SEATED]


def test_second_facts_cannot_be_guessed(by_roster: Institution) -> None:
    library = make_library("Halle", by_roster)
    pool = make_programme().pool
    user = make_user()

    def guess(day: int, number: str = "21000001") -> str:
        application = make_application(library, number, second_fact=f"{day:02}/05/1944")
        try:
            applying.apply(user=user, pool=pool, application=application, address=ADDRESS, now=NOW)
        except (asking.CardNotAccepted, asking.TooManyTries) as error:
            return type(error).__name__
        return "seated"

    tries = [guess(day) for day in range(1, 8)]
    assert tries == ["CardNotAccepted"] * 5 + ["TooManyTries"] * 2
    # even the right answer is not heard any more
    assert guess(18) == "TooManyTries"
    assert RosterEntry.objects.count() == 1


def test_card_proved_in_one_programme_counts_where_it_waited_for_its_check() -> None:
    halle = make_institution("halle")
    library = make_library("Halle", halle)
    first, second = make_programme("first", cap=1), make_programme("second", cap=1)
    ada = make_member(ADA, programme=first, library=library, number="21000001", now=NOW)
    assert ada.state == State.HELD
    halle.card_check = Institution.CardCheck.ROSTER
    halle.save()
    put_on_roster(halle, "21000001", "1944-05-18", valid_until=date(2027, 1, 1))
    library.refresh_from_db()
    make_member(ADA, programme=second, library=library, number="21000001", second_fact="18/05/1944", now=NOW)
    ada.refresh_from_db()
    assert (ada.state, ada.card.state) == (State.SEATED, Card.State.CONFIRMED)
    assert events_of(ada) == ["applied", "seat_held", "card_confirmed", "seat_given"]
