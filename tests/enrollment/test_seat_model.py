"""Whatever people do, in whatever order: the seats are as the simple model says, and every rule holds after each step.

A few thousand steps, the same in every run. For more, and others each time: SEAT_EXAMPLES=2000; a failure prints how
it is repeated.
"""

from __future__ import annotations

import os
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from enrollment import (
    applying,
    asking,
    cap,
    card_checking,
    ending,
    merge_plan,
    merging,
    prioritizing,
    seats,
    waiting_list,
)
from enrollment.cap_plan import Plan, Terms
from enrollment.models import Enrollment, SeatPool, Share
from enrollment.reports.audit import audit
from libraries import guessing
from libraries.models import Card, User
from tests.enrollment.seat_model import Claim, Seats
from tests.factories import (
    NOW,
    make_application,
    make_coordinator,
    make_institution,
    make_librarian,
    make_library,
    make_programme,
    make_user,
)

PEOPLE = "abcdefgh"
INSTITUTIONS = ("antwerpen", "halle", "kortrijk")
EXAMPLES = int(os.environ.get("SEAT_EXAMPLES", "40"))
# Few seats for many people, so that there is always somebody who would like what another gets; and an institution with
# nobody in the first crowd, for whom something can be kept.
caps, floors, ceilings = st.integers(0, 6), st.integers(0, 2), st.none() | st.integers(1, 3)
crowds = st.lists(
    st.tuples(st.sampled_from(PEOPLE), st.sampled_from(INSTITUTIONS[:2])), min_size=5, unique_by=lambda each: each[0]
)
days = st.sampled_from([None, None, date(2026, 1, 1), date(2026, 9, 1)])
terms = st.builds(Terms, floor=floors, ceiling=ceilings, lends_from=days)


class SeatsMachine(RuleBasedStateMachine):
    """Each run in a transaction of its own, which is rolled back."""

    def __init__(self) -> None:
        super().__init__()
        self._transaction = transaction.atomic()
        self._transaction.__enter__()
        self.now: datetime = NOW

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self._transaction.__exit__(None, None, None)

    @initialize(size=caps, terms=st.tuples(terms, terms, terms), crowd=crowds, more=caps)
    def open(self, size: int, terms: tuple[Terms, ...], crowd: list[tuple[str, str]], more: int) -> None:
        self.libraries = {slug: make_library(slug, make_institution(slug)) for slug in INSTITUTIONS}
        self.programme = make_programme(cap=6, hold_days=14, term_months=12)
        self.shares = {share.institution.slug: share.pk for share in Share.objects.select_related("institution")}
        self.mo: User = make_coordinator()
        self.librarians = {
            slug: make_librarian(library.institution, f"{slug}@example.test")
            for slug, library in self.libraries.items()
        }
        self.model = Seats(6, {slug: Terms() for slug in INSTITUTIONS})
        self.share_of: dict[str, str] = {}
        for slug, each in zip(INSTITUTIONS, terms, strict=True):
            self.set_terms(slug, each)
        self.set_cap(size)
        for person, share in crowd:
            self.apply(person, share)
        self.set_cap(more)

    # --- What people do ---

    @rule(person=st.sampled_from(PEOPLE), share=st.sampled_from(INSTITUTIONS))
    def apply(self, person: str, share: str) -> None:
        """With the same card as before, if they ever applied; in vain with an account that was merged into another, or
        where another card of theirs carries an application."""
        share = self.share_of.setdefault(person, share)
        claim = self.model.open_claim(person)
        if person in self.model.gone or (claim and claim.card != person):
            with pytest.raises(applying.Ineligible):
                self._apply(person, share)
            return
        if claim is None:
            self.model.apply(person, share, self.now)
        self._apply(person, share)

    def _apply(self, person: str, share: str) -> None:
        email = f"{person}@example.test"
        applying.apply(
            user=User.objects.filter(email=email).first() or make_user(email),
            pool=SeatPool.objects.select_related("programme").get(),
            application=make_application(self.libraries[share], f"2100{ord(person)}"),
            address=f"192.0.2.{ord(person)}",
            now=self.now,
        )

    @precondition(lambda self: self._unproved())
    @rule(data=st.data())
    def confirm(self, data: st.DataObject) -> None:
        claim = data.draw(st.sampled_from(self._unproved()), "of")
        self.model.confirm(claim, self.now)
        card_checking.confirm(card_id=self._row(claim).card_id, by=self.librarians[claim.share], now=self.now)

    @precondition(lambda self: self._unproved())
    @rule(data=st.data())
    def refuse(self, data: st.DataObject) -> None:
        claim = data.draw(st.sampled_from(self._unproved()), "of")
        row = self._row(claim)
        self.model.end(claim, self.now)
        card_checking.refuse(
            card_id=row.card_id, reason=Card.Refusal.UNKNOWN, by=self.librarians[claim.share], now=self.now
        )

    @precondition(lambda self: self._open())
    @rule(data=st.data(), twice=st.booleans())
    def give_back(self, data: st.DataObject, twice: bool) -> None:
        claim = data.draw(st.sampled_from(self._open()), "of")
        row = self._row(claim)
        self.model.end(claim, self.now)
        for _ in range(1 + twice):
            ending.give_back(enrollment_id=row.pk, by=row.user, now=self.now)

    @precondition(lambda self: self.model.line())
    @rule(data=st.data())
    def change_priority(self, data: st.DataObject) -> None:
        claim = data.draw(st.sampled_from(self.model.line()), "of")
        claim.first = not claim.first
        told: dict[str, Any] = {"enrollment_id": self._row(claim).pk, "by": self.mo, "now": self.now, "words": "So"}
        if claim.first:
            prioritizing.give(reason=prioritizing.Reason.ANOTHER, **told)
        else:
            prioritizing.take_back(**told)

    # --- What the coordinator does ---

    @rule(two=st.lists(st.sampled_from(PEOPLE), min_size=2, max_size=2, unique=True))
    def merge(self, two: list[str]) -> None:
        """What the preview says is what is done, and nobody else stands behind more claims than before."""
        keep, other = (User.objects.filter(email=f"{person}@example.test").first() for person in two)
        if keep is None or other is None or set(two) & self.model.gone:
            return
        others = [claim for claim in self.model.claims if claim.state == "waiting" and claim.person not in two]
        ahead = [len(self.model.all_before(claim)) for claim in others]
        self.model.merge(two[0], two[1], self.now)
        told: dict[str, Any] = {"keep_user_id": keep.pk, "other_user_id": other.pk, "by": self.mo, "now": self.now}
        merging.merge(**told, words="The same", expected=merging.preview(**told).fingerprint)
        for claim, before in zip(others, ahead, strict=True):
            assert len(self.model.all_before(claim)) <= before

    @rule(number=caps)
    def set_cap(self, number: int) -> None:
        self._change(Plan(cap=number), self.model.set_cap(number, self.now))

    @rule(share=st.sampled_from(INSTITUTIONS), terms=terms)
    def set_terms(self, share: str, terms: Terms) -> None:
        self._change(Plan(shares={self.shares[share]: terms}), self.model.set_terms(share, terms, self.now))

    def _change(self, plan: Plan, may_be: bool) -> None:
        """What the preview says is what is given, and both agree with the model on whether it may be."""
        told: dict[str, Any] = {"pool_id": self.programme.pool.pk, "plan": plan, "by": self.mo, "now": self.now}
        try:
            preview = cap.preview(**told)
        except cap.CannotChange:
            assert not may_be
            return
        assert may_be
        given = cap.change(**told, reason="Because", expected=preview.fingerprint)
        assert len(given) == preview.given

    # --- What time does ---

    @rule(passing=st.sampled_from([1, 1, 6, 14, 40, 366]))
    def time_passes(self, passing: int) -> None:
        self.now += timedelta(days=passing)
        self.model.time_passes(self.now)
        waiting_list.lapse_holds(now=self.now)
        ending.end_terms(now=self.now)
        waiting_list.serve(now=self.now)

    # --- What must always be so ---

    @invariant()
    def all_is_as_the_model_says(self) -> None:
        rows = Enrollment.objects.order_by("id").select_related("user", "share__institution")
        found = [(row.user.email[0], row.share.institution.slug, row.state, row.passed_over) for row in rows]
        assert found == [(each.person, each.share, each.state, each.passed_over) for each in self.model.claims]
        line = Enrollment.objects.in_line().in_queue_order().values_list("user__email", flat=True)
        assert [email[0] for email in line] == [claim.person for claim in self.model.line()]
        pool = SeatPool.objects.get()
        assert (pool.cap, pool.planned_cap, pool.taken) == (self.model.cap, self.model.planned, self.model.taken)

    @invariant()
    def every_rule_holds(self) -> None:
        findings = audit(now=self.now, unanswered_days=100_000)
        assert [(each.check.name, each.rows) for each in findings if not each.holds] == []
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")

    def _open(self) -> list[Claim]:
        return [claim for claim in self.model.claims if claim.state != "ended"]

    def _unproved(self) -> list[Claim]:
        return [claim for claim in self._open() if claim.card not in self.model.proved]

    def _row(self, claim: Claim) -> Enrollment:
        return Enrollment.objects.select_related("user").order_by("id")[self.model.claims.index(claim)]


QUIET = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))


def run(budget: settings) -> None:
    run_state_machine_as_test(SeatsMachine, settings=budget)


@pytest.fixture(autouse=True)
def no_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """On how often a card may be asked about: here the same few people apply for years."""
    monkeypatch.setattr(guessing, "MOST", {})
    monkeypatch.setattr(asking, "ANSWERS_PER_ADDRESS", 10_000)


@pytest.mark.slow
@pytest.mark.django_db
def test_seats_are_as_the_model_says() -> None:
    same_every_time = "SEAT_EXAMPLES" not in os.environ
    run(settings(QUIET, max_examples=EXAMPLES, stateful_step_count=50, derandomize=same_every_time, print_blob=True))


MUTANTS = {
    "floors are not kept free": ("coalesce(sum(unused_floor) FILTER (WHERE NOT lends), 0)", "0 * count(*)"),
    "what is lent is kept all the same": ("FILTER (WHERE NOT lends)", ""),
    "ceilings are not looked at": ("WHERE room IS NULL OR rank <= room", ""),
    "the last come first": ("within_floor DESC, priority, applied_at, id", "within_floor DESC, id DESC"),
    "who is passed over gets a seat": ("AND NOT e.passed_over", ""),
    "seats are not counted": ("s.taken + its.seats", "s.taken"),
    "a held seat is given": ("CASE WHEN c.state = 'confirmed' THEN 'seated' ELSE 'held' END", "'held'"),
}


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("mutant", MUTANTS)
def test_model_finds_what_is_wrong(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof that the test above can fail."""
    old, new = MUTANTS[mutant]
    assert old in seats._GIVE
    monkeypatch.setattr(seats, "_GIVE", seats._GIVE.replace(old, new))
    monkeypatch.setattr(seats, "_FORESEE", seats._FORESEE.replace(old, new))
    with pytest.raises((AssertionError, IntegrityError)):
        run(settings(QUIET, max_examples=40, derandomize=True, report_multiple_bugs=False, phases=[Phase.generate]))


@pytest.mark.slow
@pytest.mark.django_db
def test_model_finds_that_the_wrong_application_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge_plan, "_standing", lambda enrollment: 0)
    with pytest.raises((AssertionError, IntegrityError)):
        run(settings(QUIET, max_examples=40, derandomize=True, report_multiple_bugs=False, phases=[Phase.generate]))
