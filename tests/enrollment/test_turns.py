"""Why a place in the queue changed: told from events alone, and always adding up to the place now."""

from __future__ import annotations

import contextlib
import random
from datetime import datetime, timedelta

import pytest
from django.utils.translation import override

from catalog.models import Programme
from enrollment import applying, asking, cap, card_checking, ending, merging, moving, prioritizing, waiting_list
from enrollment.cap_plan import Plan, Terms
from enrollment.models import Enrollment, Event, SeatPool, Share
from enrollment.reports import turns
from enrollment.reports.turns import turns_of
from libraries import guessing
from libraries.models import Card, User
from tests.factories import (
    NOW,
    make_coordinator,
    make_institution,
    make_librarian,
    make_library,
    make_member,
    make_programme,
)

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def programme() -> Programme:
    make_library()
    return make_programme(cap=1, hold_days=14)


@pytest.fixture
def lin(programme: Programme) -> User:
    return make_librarian()


def queue(programme: Programme, names: str) -> list[Enrollment]:
    return [
        make_member(
            f"{name}@example.test", programme=programme, now=NOW + timedelta(minutes=number), number=f"2100{number}"
        )
        for number, name in enumerate(names)
    ]


def told(enrollment: Enrollment) -> list[tuple[str, int]]:
    enrollment.refresh_from_db()
    with override("en"):
        return [(turn.words, turn.places) for turn in turns_of(enrollment, since=NOW - 100 * DAY, days=1000)]


def raise_cap(programme: Programme, seats: int) -> None:
    mo = User.objects.filter(email="mo@example.test").first() or make_coordinator()
    cap.change(pool_id=programme.pool.pk, plan=Plan(cap=seats), reason="More", by=mo, now=NOW + DAY)


def test_places_given_and_people_who_left_are_told(programme: Programme, lin: User) -> None:
    _ada, bo, cy, di, ed = queue(programme, "abcde")
    raise_cap(programme, 3)
    ending.give_back(enrollment_id=di.pk, by=di.user, now=NOW + 2 * DAY)
    assert told(ed) == [("1 person before you left the queue", -1), ("2 people before you got a place", -2)]
    assert [turn.day.day for turn in turns_of(ed, since=NOW, days=1000)] == [5, 4]
    assert (bo.pk, cy.pk) < (di.pk, ed.pk)


def test_held_place_that_is_given_is_told_once(programme: Programme, lin: User) -> None:
    _ada, bo, cy = queue(programme, "abc")
    raise_cap(programme, 2)
    card_checking.confirm(card_id=bo.card_id, by=lin, now=NOW + 2 * DAY)
    assert told(cy) == [("1 person before you got a place", -1)]


def test_people_who_applied_later_are_not_told_of(programme: Programme, lin: User) -> None:
    _ada, bo, cy, _di = queue(programme, "abcd")
    ending.give_back(enrollment_id=cy.pk, by=cy.user, now=NOW + DAY)
    assert told(bo) == []


def test_priority_of_others_and_ones_own_is_told(programme: Programme, lin: User) -> None:
    _ada, bo, cy, di = queue(programme, "abcd")
    given = {"reason": prioritizing.Reason.FOR_WORK, "words": "So", "by": lin}
    prioritizing.give(enrollment_id=di.pk, now=NOW + DAY, **given)  # type: ignore[arg-type]
    assert told(bo) == told(cy) == [("1 person got priority", 1)]
    assert told(di) == [("You got priority in the queue", -2)]
    prioritizing.take_back(enrollment_id=di.pk, words="No", by=lin, now=NOW + 2 * DAY)
    assert told(cy)[0] == ("The priority of 1 person ended", -1)
    assert told(di)[0] == ("Your priority in the queue ended", 2)


def test_whoever_comes_back_after_a_lapsed_hold_is_told(programme: Programme, lin: User) -> None:
    ada, bo, cy = queue(programme, "abc")
    waiting_list.lapse_holds(now=NOW + 20 * DAY)
    card_checking.confirm(card_id=ada.card_id, by=lin, now=NOW + 21 * DAY)
    bo.refresh_from_db()
    assert bo.state == "held"
    assert told(cy) == [
        ("1 person came back to an earlier turn, because the card is confirmed", 1),
        ("1 person before you got a place", -1),
    ]
    assert (Event.objects.get(enrollment_id=ada.pk, kind="card_confirmed").new_value, told(ada)) == (1, [])


def test_whoever_a_disputed_card_is_left_to_is_told(programme: Programme, lin: User) -> None:
    _ada, bo = queue(programme, "ab")
    rival = make_member("r@example.test", programme=programme, number=bo.card.number, now=NOW + DAY)
    cy = make_member("c@example.test", programme=programme, now=NOW + DAY)
    ending.give_back(enrollment_id=bo.pk, by=bo.user, now=NOW + 2 * DAY)
    assert list(Event.objects.filter(kind="card_undisputed").values_list("enrollment_id", "new_value")) == [
        (rival.pk, 1)
    ]
    assert told(cy) == [
        ("1 person came back to an earlier turn, because the question about the card is settled", 1),
        ("1 person before you left the queue", -1),
    ]
    rival.refresh_from_db()
    assert (rival.passed_over, told(rival)) == (False, [])


def test_disputed_card_that_leaves_changes_nothing(programme: Programme, lin: User) -> None:
    _ada, bo = queue(programme, "ab")
    rival = make_member("r@example.test", programme=programme, number=bo.card.number, now=NOW + DAY)
    cy = make_member("c@example.test", programme=programme, now=NOW + DAY)
    ending.give_back(enrollment_id=rival.pk, by=rival.user, now=NOW + 2 * DAY)
    assert told(cy) == []


def test_whoever_leaves_the_queue_and_comes_back_starts_at_the_end(programme: Programme, lin: User) -> None:
    _ada, bo, cy, di = queue(programme, "abcd")
    given = {"reason": prioritizing.Reason.FOR_WORK, "words": "So", "by": lin}
    prioritizing.give(enrollment_id=bo.pk, now=NOW + DAY, **given)  # type: ignore[arg-type]
    ending.give_back(enrollment_id=bo.pk, by=bo.user, now=NOW + DAY)
    again = make_member("b@example.test", programme=programme, number=bo.card.number, now=NOW + 2 * DAY)
    assert again.pk != bo.pk
    assert (again.applied_at, again.priority) == (NOW + 2 * DAY, Enrollment.NORMAL)
    assert [waiting_list.place_of(each) for each in (cy, di, again)] == [1, 2, 3]
    assert told(again) == []


# --- Whatever happens, it adds up ---


class Town:
    """People of three institutions who do whatever is possible, the same in every run; some claim the same cards."""

    def __init__(self, seed: int) -> None:
        self.dice, self.now = random.Random(seed), NOW
        self.libraries = [make_library(slug, make_institution(slug)) for slug in ("antwerpen", "halle", "kortrijk")]
        self.programme = make_programme(cap=2, hold_days=14, term_months=2)
        self.mo = make_coordinator()
        self.people = [(f"p{n}@example.test", self.libraries[n % 3], f"2100{n % 3}{n // 9}") for n in range(48)]
        self.acts = [self.apply] * 6 + [self.confirm, self.refuse, self.leave, self.prioritize, self.prioritize]
        self.acts += [self.pass_time, self.change_cap, self.change_share, self.merge, self.change_card]

    def step(self) -> None:
        self.now += timedelta(minutes=self.dice.choice([0, 0, 7]))
        self.dice.choice(self.acts)()

    def _any(self, **which: object) -> Enrollment | None:
        found = list(Enrollment.objects.open().filter(**which).select_related("user").order_by("pk"))
        return self.dice.choice(found) if found else None

    def apply(self) -> None:
        email, library, number = self.dice.choice(self.people)
        with contextlib.suppress(applying.Ineligible):  # once merged into another account, for one
            make_member(email, programme=self.programme, library=library, number=number, now=self.now)

    def confirm(self) -> None:
        if row := self._any(card__state__in=(Card.State.CLAIMED, Card.State.DISPUTED)):
            card_checking.confirm(card_id=row.card_id, by=self.mo, now=self.now)

    def refuse(self) -> None:
        if row := self._any(card__state__in=(Card.State.CLAIMED, Card.State.DISPUTED)):
            with contextlib.suppress(card_checking.CannotDecide):  # another card waits, or a seat stands on it
                card_checking.refuse(card_id=row.card_id, reason=Card.Refusal.UNKNOWN, by=self.mo, now=self.now)

    def leave(self) -> None:
        if row := self._any():
            ending.give_back(enrollment_id=row.pk, by=row.user, now=self.now)

    def prioritize(self) -> None:
        row = self._any(state=Enrollment.State.WAITING)
        if row and row.priority == Enrollment.FIRST:
            prioritizing.take_back(enrollment_id=row.pk, words="So", by=self.mo, now=self.now)
        elif row:
            reason = prioritizing.Reason.FOR_WORK
            prioritizing.give(enrollment_id=row.pk, reason=reason, words="So", by=self.mo, now=self.now)

    def merge(self) -> None:
        """Whoever waits with anybody, or with somebody for whom a place is held."""
        one, other = self._any(state="waiting"), self._any(**self.dice.choice([{}, {"state": "held"}]))
        if one and other and one.user_id != other.user_id:
            told = {"keep_user_id": one.user_id, "other_user_id": other.user_id, "by": self.mo, "now": self.now}
            merging.merge(**told, words="The same")  # type: ignore[arg-type]

    def change_card(self) -> None:
        """To one that nobody has, or that others claim."""
        if row := self._any():
            new = moving.NewCard(library=self.dice.choice(self.libraries), number=f"2100{self.dice.randint(0, 99):02}")
            told = {"enrollment_id": row.pk, "told": new, "now": self.now}
            with contextlib.suppress(moving.CannotMove):
                if self.dice.random() < 0.5:
                    moving.change_card_by_staff(**told, by=self.mo)  # type: ignore[arg-type]
                else:
                    moving.change_card(**told, by=row.user, address="192.0.2.1")  # type: ignore[arg-type]

    def pass_time(self) -> None:
        self.now += timedelta(days=self.dice.choice([1, 15, 40]))
        waiting_list.lapse_holds(now=self.now)
        ending.end_terms(now=self.now)

    def change_cap(self) -> None:
        self._change(Plan(cap=self.dice.randint(0, 5)))

    def change_share(self) -> None:
        share = self.dice.choice(list(Share.objects.order_by("pk")))
        self._change(Plan(shares={share.pk: Terms(ceiling=self.dice.choice([None, 1, 3]))}))

    def _change(self, plan: Plan) -> None:
        with contextlib.suppress(cap.CannotChange):
            cap.change(pool_id=self.programme.pool.pk, plan=plan, reason="So", by=self.mo, now=self.now)


def places(since: datetime) -> dict[int, tuple[int, int]]:
    """Of each in line: the place, and the sum of what is told."""
    line = Enrollment.objects.in_line().in_queue_order()
    return {
        row.pk: (place, sum(turn.places for turn in turns_of(row, since=since, days=1000)))
        for place, row in enumerate(line, 1)
    }


def live(seed: int, steps: int) -> set[str]:
    """Says which causes were told."""
    town, before, causes = Town(seed), places(NOW), set[str]()
    for _ in range(steps):
        town.step()
        after = places(NOW)
        came = {pk: place - changed for pk, (place, changed) in after.items()}
        stayed = after.keys() & before.keys()
        assert {pk: came[pk] for pk in stayed} == {pk: before[pk][0] - before[pk][1] for pk in stayed}
        back = Event.objects.filter(kind__in=("card_confirmed", "card_undisputed"), new_value__isnull=False)
        joined = {event.enrollment_id: event.new_value for event in back.order_by("id")}
        assert {pk: joined[pk] for pk in came if pk in joined} == {pk: came[pk] for pk in came if pk in joined}
        causes |= {turn.cause for row in Enrollment.objects.in_line() for turn in turns_of(row, since=NOW, days=1000)}
        before = after
    return causes


@pytest.fixture
def no_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """On how often a card may be asked about."""
    monkeypatch.setattr(guessing, "MOST", {})
    monkeypatch.setattr(asking, "ANSWERS_PER_ADDRESS", 10_000)


CAUSES = {"seat_given", "withdrawn", "priority_given", "priority_taken", "card_confirmed", "card_undisputed"}


@pytest.mark.slow
@pytest.mark.usefixtures("no_limits")
def test_place_before_and_what_is_told_add_up_to_the_place_now() -> None:
    assert live(seed=3, steps=250) == CAUSES
    assert SeatPool.objects.get().taken > 0


MUTANTS = {
    "held places that are given are counted again": ("AND v.reason <> %(was_held)s", "AND %(was_held)s <> ''"),
    "people who were passed over count when they leave": ("AND s.passed_over THEN 0", "AND false THEN 0"),
    "a card that brought nobody back counts": ("WHEN s.kind IN ('card_confirmed', 'card_undisputed') THEN 1", ""),
    "priority is that of now": ("coalesce(m.priority, x.priority)", "x.priority"),
    "the turn is that of now": ("coalesce(m.applied_at, x.applied_at)", "x.applied_at"),
    "one's own priority is that of now": ("(SELECT count(*) FROM unnest(own.ids) later WHERE later > m.id)", "0"),
    "events before the person came count": ("v.id > mine.joined", "(v.id > mine.joined OR v.enrollment_id <> mine.id)"),
}


@pytest.mark.slow
@pytest.mark.usefixtures("no_limits")
@pytest.mark.parametrize("mutant", MUTANTS)
def test_sum_is_wrong_without_each_of_the_rules(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof that the test above can fail."""
    old, new = MUTANTS[mutant]
    assert turns._TURNS.count(old) == 1
    monkeypatch.setattr(turns, "_TURNS", turns._TURNS.replace(old, new))
    with pytest.raises(AssertionError):
        live(seed=3, steps=250)
