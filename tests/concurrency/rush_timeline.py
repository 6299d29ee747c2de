"""The timeline of a pool, told again one event after another.

Events of a pool are numbered while its lock is held, so that their numbers say in which order things were decided,
whatever the clocks said. Nothing here looks at the seats themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

from enrollment.models import Enrollment, Event
from tests.concurrency.rush_findings import Finding, Kind

State = Enrollment.State
GIVEN = {Event.Kind.SEAT_HELD: State.HELD, Event.Kind.SEAT_GIVEN: State.SEATED}
# From what an enrollment may come, and what it then is. A seat that is held is given when the card is confirmed.
TURNS: dict[str, tuple[set[str], str]] = {
    Event.Kind.SEAT_HELD: ({State.WAITING}, State.HELD),
    Event.Kind.SEAT_GIVEN: ({State.WAITING, State.HELD}, State.SEATED),
    Event.Kind.HOLD_LAPSED: ({State.HELD}, State.WAITING),
    Event.Kind.SEAT_ENDED: ({State.HELD, State.SEATED}, State.ENDED),
    Event.Kind.WITHDRAWN: ({State.WAITING}, State.ENDED),
}
PRIORITIES = {Event.Kind.PRIORITY_GIVEN: Enrollment.FIRST, Event.Kind.PRIORITY_TAKEN: Enrollment.NORMAL}


@dataclass
class Claim:
    pk: int
    institution_id: int | None
    user_id: int | None
    card_id: int | None
    applied_at: datetime
    state: str = State.WAITING
    priority: int = Enrollment.NORMAL
    passed_over: bool = False

    @property
    def turn(self) -> tuple[int, datetime, int]:
        return self.priority, self.applied_at, self.pk

    @property
    def in_line(self) -> bool:
        return self.state == State.WAITING and not self.passed_over

    @property
    def has_seat(self) -> bool:
        return self.state in Enrollment.WITH_SEAT


@dataclass
class Timeline:
    limit: int = 0
    floors: dict[int | None, int] = field(default_factory=dict)
    ceilings: dict[int | None, int] = field(default_factory=dict)
    claims: dict[int, Claim] = field(default_factory=dict)

    def tell(self, events: Iterable[Event]) -> Iterator[Finding]:
        """All events of one pool, in the order of their numbers."""
        for at, together in groupby(events, key=lambda event: event.at):
            for giving, batch in groupby(together, key=lambda event: event.kind in GIVEN):
                follow = self._give if giving else self._follow
                yield from follow(list(batch))
            yield from self._nobody_waits_in_vain(at)

    # --- What happens ---

    def _follow(self, events: Iterable[Event]) -> Iterator[Finding]:
        for event in events:
            if event.kind == Event.Kind.CAP_CHANGED:
                self.limit = event.new_value or 0
            elif event.kind == Event.Kind.SHARE_CHANGED:
                self._change_share(event)
            elif event.kind == Event.Kind.APPLIED:
                yield from self._apply(event)
            elif event.enrollment_id in self.claims:
                yield from self._turn(event, self.claims[event.enrollment_id])

    def _change_share(self, event: Event) -> None:
        terms = {"floor": self.floors, "ceiling": self.ceilings}.get(event.reason, {})
        terms.pop(event.institution_id, None)
        if event.new_value:
            terms[event.institution_id] = event.new_value

    def _apply(self, event: Event) -> Iterator[Finding]:
        assert event.enrollment_id is not None
        claim = Claim(event.enrollment_id, event.institution_id, event.actor_id, event.card_id, event.at)
        others = [other for other in self.claims.values() if other.state != State.ENDED]
        if any(claim.user_id == other.user_id or claim.card_id == other.card_id for other in others):
            yield Finding(Kind.DOUBLED, f"enrollment {claim.pk} beside another of the same person or card")
        if claim.pk in self.claims:
            yield Finding(Kind.DOUBLED, f"enrollment {claim.pk} was made twice")
        self.claims[claim.pk] = claim

    def _turn(self, event: Event, claim: Claim) -> Iterator[Finding]:
        if event.kind in TURNS:
            before, after = TURNS[event.kind]
            if claim.state not in before:
                yield Finding(Kind.DOUBLED, f"enrollment {claim.pk}: {event.kind}, though it was {claim.state}")
            claim.state = after
        claim.priority = PRIORITIES.get(Event.Kind(event.kind), claim.priority)
        if event.kind in (Event.Kind.CARD_DISPUTED, Event.Kind.HOLD_LAPSED):
            claim.passed_over = True
        if event.kind in (Event.Kind.CARD_CONFIRMED, Event.Kind.CARD_UNDISPUTED):
            claim.passed_over = False

    # --- What must be so ---

    def _give(self, events: list[Event]) -> Iterator[Finding]:
        """Seats that were given out in one go."""
        claims = [self.claims[event.enrollment_id] for event in events if event.enrollment_id in self.claims]
        given = [claim for claim in claims if claim.state == State.WAITING]
        for event in events:
            if event.enrollment_id in self.claims:
                yield from self._turn(event, self.claims[event.enrollment_id])
        for claim in given:
            claim.passed_over = False
            yield from self._nobody_was_before(claim)
        if given:
            yield from self._room()

    def _nobody_was_before(self, claim: Claim) -> Iterator[Finding]:
        for other in self.claims.values():
            rivals = self._is_plain or other.institution_id == claim.institution_id
            if other.in_line and rivals and other.turn < claim.turn:
                yield Finding(Kind.PASSED_OVER, f"enrollment {other.pk} waited when {claim.pk} got a seat")

    def _room(self) -> Iterator[Finding]:
        if self._taken() > self.limit:
            yield Finding(Kind.OVER_CAP, f"{self._taken()} seats were given of {self.limit}")
        for institution_id, ceiling in self.ceilings.items():
            if self._taken(institution_id) > ceiling:
                yield Finding(Kind.OVER_CAP, f"institution {institution_id} has more than its {ceiling} seats")

    def _nobody_waits_in_vain(self, at: datetime) -> Iterator[Finding]:
        line = [claim.pk for claim in self.claims.values() if claim.in_line]
        if line and self._is_plain and self._taken() < self.limit:
            yield Finding(Kind.PASSED_OVER, f"at {at} a seat was free though {line} waited")

    @property
    def _is_plain(self) -> bool:
        """Nothing is kept for anybody and nobody is kept back: the order of the queue is all there is."""
        return not self.floors and not self.ceilings

    def _taken(self, institution_id: int | None = None) -> int:
        return sum(claim.has_seat and institution_id in (None, claim.institution_id) for claim in self.claims.values())
