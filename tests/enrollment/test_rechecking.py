"""Proved cards are asked about again; one that is no longer good lapses like one whose last day is over."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from django.utils import timezone

from catalog.models import Programme
from enrollment import card_checking, lapsing, rechecking
from enrollment.models import Enrollment, Event, Letter
from enrollment.reports.audit import audit
from libraries.cards.checks import Answer, Outcome, Trouble
from libraries.models import Card, Doubt, Library, LibrarySystem, User
from tests.card_systems import PIN, AnsweringSystem, answer_in_place_of
from tests.factories import NOW, make_librarian, make_library, make_member, make_programme, make_system
from tests.rechecks import Clock, earlier, make_proved

pytestmark = pytest.mark.django_db

State = Card.State
GRACE = 30
DAY = timedelta(days=1)
MONTH = 30 * DAY


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> AnsweringSystem:
    make_system()
    return answer_in_place_of("sip2", monkeypatch)


@pytest.fixture
def library(system: AnsweringSystem) -> Library:
    return make_library()


@pytest.fixture
def programme(library: Library) -> Programme:
    return make_programme(cap=1, card_grace_days=GRACE)


@pytest.fixture
def ada(programme: Programme) -> Enrollment:
    """Seated, with a card that was proved with its PIN."""
    return make_member(programme=programme, number="21000001", now=NOW, pin=PIN)


@pytest.fixture
def lin(library: Library) -> User:
    return make_librarian(library.institution)


@pytest.fixture
def later() -> Clock:
    """When the cards of today are to be asked about again."""
    return Clock(NOW + MONTH)


def card_of(enrollment: Enrollment) -> Card:
    return Card.objects.get(pk=enrollment.card_id)


def row() -> LibrarySystem:
    return LibrarySystem.objects.get()


def events() -> list[tuple[str, str]]:
    return list(Event.objects.filter(kind__startswith="card_").order_by("pk").values_list("kind", "reason"))


def bad(outcome: Outcome = Outcome.UNKNOWN, until: date | None = None) -> Answer:
    return Answer(outcome, until)


def minutes_between(start: datetime, end: datetime | None) -> int:
    assert end is not None
    return round((end - start) / timedelta(minutes=1))


# --- When, and whose cards ---


def test_card_is_asked_about_within_a_month_after_it_was_last_good(ada: Enrollment, system: AnsweringSystem) -> None:
    """By its own number of hours before the month is over."""
    month = MONTH - earlier(ada.card_id)
    clock = Clock(NOW)
    clock.go_by(month, step=month / 30)
    assert system.looked_up == []
    clock.go_by(DAY)
    assert system.looked_up == ["21000001"]
    assert card_of(ada).found_good_at == NOW + month
    clock.go_by(month - DAY, step=DAY)
    assert len(system.looked_up) == 1
    clock.go_by(DAY)
    assert len(system.looked_up) == 2


def test_no_pin_is_needed_and_nothing_else_is_asked(ada: Enrollment, system: AnsweringSystem, later: Clock) -> None:
    asked = len(system.asked)
    later.settle()
    assert (len(system.asked), system.looked_up) == (asked, ["21000001"])


def test_card_without_application_is_not_asked_about(ada: Enrollment, system: AnsweringSystem, later: Clock) -> None:
    Enrollment.objects.update(state="ended", ended_at=NOW, end_reason="withdrawn", hold_until=None)
    later.settle()
    assert system.looked_up == []


@pytest.mark.parametrize("kind", ["by_hand", "roster"])
def test_institution_whose_system_is_not_asked_is_left_alone(
    kind: str, ada: Enrollment, system: AnsweringSystem, later: Clock
) -> None:
    institution = card_of(ada).institution
    institution.card_check = kind
    institution.save()
    later.settle()
    assert system.looked_up == []


def test_0_days_means_never(ada: Enrollment, system: AnsweringSystem, later: Clock) -> None:
    LibrarySystem.objects.update(recheck_days=0)
    later.go_by(3 * MONTH, step=7 * DAY)
    assert system.looked_up == []


def test_those_not_asked_about_for_longest_come_first(
    programme: Programme, library: Library, system: AnsweringSystem
) -> None:
    cards = make_proved(3, library=library, pool=programme.pool)
    for number, card in enumerate(reversed(cards)):
        Card.objects.filter(pk=card.pk).update(decided_at=NOW + timedelta(hours=number))
    Clock(NOW + MONTH).settle()
    assert system.looked_up == [card.number for card in reversed(cards)]


# --- What good answers do ---


def test_new_last_day_is_noted_and_recorded_once(ada: Enrollment, system: AnsweringSystem, later: Clock) -> None:
    Card.objects.update(valid_until=date(2026, 12, 31))
    system.otherwise = Answer(Outcome.CONFIRMED, date(2027, 12, 31))
    later.go_by(2 * MONTH, step=7 * DAY)
    assert card_of(ada).valid_until == date(2027, 12, 31)
    assert events() == [("card_confirmed", "sip2"), ("card_extended", "")]


def test_first_day_that_is_told_is_no_extension(ada: Enrollment, system: AnsweringSystem, later: Clock) -> None:
    system.otherwise = Answer(Outcome.CONFIRMED, date(2027, 12, 31))
    later.settle()
    assert card_of(ada).valid_until == date(2027, 12, 31)
    assert events() == [("card_confirmed", "sip2")]


def test_system_that_tells_no_day_leaves_the_one_we_know(ada: Enrollment, later: Clock) -> None:
    Card.objects.update(valid_until=date(2027, 12, 31))
    later.settle()
    assert card_of(ada).valid_until == date(2027, 12, 31)


def test_card_that_has_run_out_is_confirmed_again_as_soon_as_the_library_renews_it(
    ada: Enrollment, system: AnsweringSystem
) -> None:
    Card.objects.update(valid_until=timezone.localdate(NOW))
    clock = Clock(NOW + timedelta(days=1))
    lapsing.expire_cards(now=clock())
    system.otherwise = bad(Outcome.EXPIRED)
    clock.go_by(3 * DAY, step=DAY)
    assert (len(system.looked_up), card_of(ada).state) == (3, State.CLAIMED)
    system.otherwise = Answer(Outcome.CONFIRMED, date(2027, 7, 3))
    clock.go_by(DAY, step=DAY)
    card = card_of(ada)
    assert (card.state, card.decided_how, card.valid_until) == (State.CONFIRMED, "sip2", date(2027, 7, 3))
    assert events() == [("card_confirmed", "sip2"), ("card_expired", ""), ("card_confirmed", "sip2")]
    assert [finding.check.name for finding in audit(now=clock()) if not finding.holds] == []


def test_good_until_a_day_that_is_over_is_not_good(ada: Enrollment, system: AnsweringSystem, later: Clock) -> None:
    system.otherwise = Answer(Outcome.CONFIRMED, timezone.localdate(later()) - timedelta(days=2))
    later.settle()
    assert events()[1:] == [("card_expired", "expired")]


# --- What bad answers do ---


def test_one_bad_answer_changes_nothing(ada: Enrollment, system: AnsweringSystem, later: Clock) -> None:
    system.otherwise = bad()
    later.go_by(timedelta(hours=11))
    assert (card_of(ada).state, len(system.looked_up), Doubt.objects.count()) == (State.CONFIRMED, 1, 1)


def test_good_answer_takes_the_doubt_away(ada: Enrollment, system: AnsweringSystem, later: Clock) -> None:
    system.otherwise = bad()
    later.go_by(timedelta(hours=11))
    system.otherwise = Answer(Outcome.CONFIRMED)
    later.settle()
    assert (card_of(ada).state, len(system.looked_up), Doubt.objects.count()) == (State.CONFIRMED, 2, 0)


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.BLOCKED, Outcome.EXPIRED])
def test_second_bad_answer_begins_the_time_of_grace(
    outcome: Outcome, ada: Enrollment, system: AnsweringSystem, later: Clock
) -> None:
    system.otherwise = bad(outcome)
    later.settle()
    card = card_of(ada)
    assert (card.state, card.decided_how) == (State.CLAIMED, "")
    assert card.valid_until == timezone.localdate(NOW + MONTH)  # the day before
    assert events()[1:] == [("card_expired", outcome.value)]
    assert Enrollment.objects.get(pk=ada.pk).state == Enrollment.State.SEATED
    letter = Letter.objects.get(kind=Letter.Kind.CARD_EXPIRED)
    assert (letter.enrollment_id, letter.reason) == (ada.pk, outcome.value)
    Letter.objects.filter(sent_at=None).update(due_at=None, sent_at=later())
    assert lapsing.end_lapsed(now=later() + timedelta(days=GRACE - 2)) == 0
    assert lapsing.end_lapsed(now=later() + timedelta(days=GRACE + 1)) == 1


@pytest.mark.parametrize(
    ("told", "counts_from"),
    [
        (timedelta(days=-10), timedelta(days=-10)),  # the day that is told
        (timedelta(days=-300), -MONTH),  # but it was good when last looked at
        (timedelta(days=10), timedelta()),  # the day before it is believed
    ],
)
def test_time_of_grace_counts_from_the_day_that_is_told(
    told: timedelta, counts_from: timedelta, ada: Enrollment, system: AnsweringSystem, later: Clock
) -> None:
    begin = timezone.localdate(later())
    system.otherwise = bad(Outcome.EXPIRED, begin + told)
    later.settle()
    assert card_of(ada).valid_until == begin + counts_from


def test_lapsed_card_that_is_unblocked_is_confirmed_again(
    ada: Enrollment, system: AnsweringSystem, later: Clock
) -> None:
    system.otherwise = bad(Outcome.BLOCKED)
    later.settle()
    system.otherwise = Answer(Outcome.CONFIRMED)
    later.go_by(timedelta(days=2))
    card = card_of(ada)
    assert (card.state, card.valid_until, Doubt.objects.count()) == (State.CONFIRMED, None, 0)
    assert events()[-2:] == [("card_expired", "blocked"), ("card_confirmed", "sip2")]


def test_librarian_who_has_looked_since_is_not_overruled_by_older_answers(
    ada: Enrollment, system: AnsweringSystem, later: Clock, lin: User
) -> None:
    system.otherwise = bad()
    later.go_by(timedelta(hours=1))
    Card.objects.update(decided_at=later())  # as after a dispute that a librarian has settled
    later.settle()
    assert (card_of(ada).state, len(system.looked_up)) == (State.CONFIRMED, 2)
    later.settle()
    assert card_of(ada).state == State.CLAIMED


def test_librarian_confirms_a_lapsed_card_by_hand(
    ada: Enrollment, system: AnsweringSystem, later: Clock, lin: User
) -> None:
    Card.objects.update(found_good_at=NOW)  # what the system said before counts for less than what a person did
    system.otherwise = bad(Outcome.BLOCKED)
    later.settle()
    card_checking.confirm(card_id=ada.card_id, by=lin, now=later())
    asked = len(system.looked_up)
    later.go_by(22 * DAY, step=DAY)
    assert (card_of(ada).state, len(system.looked_up)) == (State.CONFIRMED, asked)
    later.go_by(9 * DAY, step=DAY)
    assert len(system.looked_up) > asked


def test_card_confirmed_again_lapses_again_only_after_two_more_bad_answers(
    ada: Enrollment, system: AnsweringSystem, later: Clock, lin: User
) -> None:
    system.otherwise = bad(Outcome.BLOCKED)
    later.settle()
    card_checking.confirm(card_id=ada.card_id, by=lin, now=later())
    later.now += MONTH
    later.go_by(timedelta(hours=11))
    doubt = Doubt.objects.get()
    assert (card_of(ada).state, doubt.believed_at, doubt.found_at == doubt.asked_at) == (State.CONFIRMED, None, True)
    later.settle()
    assert card_of(ada).state == State.CLAIMED


def test_two_answers_far_apart_are_not_two_words(ada: Enrollment, system: AnsweringSystem, later: Clock) -> None:
    """The first would stand outside of what the fuse looks back on."""
    system.otherwise = bad()
    later.go_by(timedelta(hours=1))
    later.now += timedelta(days=3)
    later.go_by(timedelta(hours=1))
    assert card_of(ada).state == State.CONFIRMED
    later.settle()
    assert card_of(ada).state == State.CLAIMED


def test_card_that_runs_out_anyway_is_no_news(ada: Enrollment, system: AnsweringSystem) -> None:
    """At the end of a school year many cards do at once: that must not look as if the system were broken."""
    Card.objects.update(valid_until=timezone.localdate(NOW))
    system.otherwise = bad(Outcome.EXPIRED)
    Clock(NOW).go_by(timedelta(hours=1))
    assert (len(system.looked_up), Doubt.objects.count()) == (1, 0)


# --- A system that does not answer ---


def test_silence_lapses_nobody_and_is_left_alone_for_longer_and_longer(
    programme: Programme, library: Library, system: AnsweringSystem
) -> None:
    make_proved(20, library=library, pool=programme.pool)
    system.otherwise = Answer(Outcome.NO_ANSWER)
    clock = Clock(NOW + MONTH)
    waits = []
    for _ in range(10):
        rechecking.recheck_next(now=clock)
        waits.append(minutes_between(clock(), row().recheck_at))
        clock.now += timedelta(minutes=waits[-1])
    assert waits == [5, 5, 10, 20, 40, 80, 160, 320, 360, 360]
    assert Card.objects.filter(state=State.CONFIRMED).count() == 20
    assert (row().unanswered_since, len(system.looked_up)) == (NOW + MONTH, 10)
    assert Event.objects.count() == 0


def test_system_that_answers_again_is_asked_on(programme: Programme, library: Library, system: AnsweringSystem) -> None:
    make_proved(20, library=library, pool=programme.pool)
    system.otherwise = Answer(Outcome.NO_ANSWER)
    clock = Clock(NOW + MONTH)
    clock.go_by(timedelta(hours=1))
    system.otherwise = Answer(Outcome.CONFIRMED)
    clock.go_by(timedelta(hours=3), step=timedelta(hours=1))
    assert row().unanswered_since is None
    clock.go_by(DAY)
    assert Card.objects.filter(found_good_at__isnull=False).count() == 20


def test_card_of_which_no_answer_comes_does_not_hold_up_the_others(
    programme: Programme, library: Library, system: AnsweringSystem
) -> None:
    first, *others = make_proved(20, library=library, pool=programme.pool)
    system.answers[first.number] = Answer(Outcome.NO_ANSWER)
    clock = Clock(NOW + MONTH)
    clock.go_by(2 * DAY, step=timedelta(hours=1))
    assert Card.objects.filter(found_good_at__isnull=False).count() == len(others)
    assert system.looked_up.count(first.number) == 2


def test_doubt_to_which_no_answer_comes_does_not_hold_up_the_others(
    programme: Programme, library: Library, system: AnsweringSystem
) -> None:
    first, *others = make_proved(20, library=library, pool=programme.pool)
    system.answers[first.number] = bad()
    clock = Clock(NOW + MONTH)
    rechecking.recheck_next(now=clock)
    system.answers[first.number] = Answer(Outcome.NO_ANSWER)
    clock.go_by(2 * DAY, step=timedelta(hours=1))
    assert Card.objects.filter(found_good_at__isnull=False).count() == len(others)
    assert card_of(Enrollment.objects.get(card=first)).state == State.CONFIRMED


def test_system_whose_connections_are_all_taken_is_not_away(
    ada: Enrollment, system: AnsweringSystem, later: Clock
) -> None:
    system.otherwise = Answer(Outcome.NO_ANSWER, trouble=Trouble.BUSY)
    rechecking.recheck_next(now=later)
    assert (row().unanswered_since, row().recheck_at) == (None, later() + timedelta(minutes=1))


@pytest.mark.parametrize("outcome", [Outcome.BY_HAND, Outcome.UNKNOWN_OR_WRONG, Outcome.WRONG_PIN])
def test_answer_that_makes_no_sense_is_none(
    outcome: Outcome, ada: Enrollment, system: AnsweringSystem, later: Clock
) -> None:
    system.otherwise = Answer(outcome)
    later.settle()
    assert (card_of(ada).state, row().unanswered_since) == (State.CONFIRMED, NOW + MONTH)


def test_check_that_fails_is_no_answer_and_its_words_are_not_logged(
    ada: Enrollment, system: AnsweringSystem, later: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ValueError("21000001")

    system.while_asking = fail
    later.go_by(timedelta(minutes=1))
    assert row().unanswered_since == NOW + MONTH
    assert "ValueError" in caplog.text
    assert "21000001" not in caplog.text
