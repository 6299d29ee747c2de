"""The rules of a seat once more, as simple as they can be told: one person after another, no sets, no locks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dateutil.relativedelta import relativedelta
from django.utils import timezone

from enrollment.cap_plan import Terms

HOLD, TERM = timedelta(days=14), relativedelta(months=12)


@dataclass
class Claim:
    """`card`: whose it was when it was given; people who turn out to be one have several."""

    person: str
    share: str
    card: str
    at: datetime
    turn: int
    state: str = "waiting"
    passed_over: bool = False
    first: bool = False
    until: datetime | None = None

    @property
    def has_seat(self) -> bool:
        return self.state in ("held", "seated")

    @property
    def standing(self) -> int:
        return ("seated", "held", "waiting").index(self.state) + self.passed_over


@dataclass
class Seats:
    """`proved`: whose card is confirmed; it stays so when a seat ends. `gone`: who turned out to be somebody else."""

    cap: int
    shares: dict[str, Terms]
    planned: int | None = None
    claims: list[Claim] = field(default_factory=list)
    proved: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)

    # --- What there is ---

    @property
    def limit(self) -> int:
        return self.cap if self.planned is None else min(self.cap, self.planned)

    @property
    def taken(self) -> int:
        return sum(claim.has_seat for claim in self.claims)

    def taken_of(self, share: str) -> int:
        return sum(claim.has_seat for claim in self.claims if claim.share == share)

    def open_claim(self, person: str) -> Claim | None:
        return next((claim for claim in self.claims if claim.person == person and claim.state != "ended"), None)

    def line(self) -> list[Claim]:
        waiting = [claim for claim in self.claims if claim.state == "waiting" and not claim.passed_over]
        return sorted(waiting, key=lambda claim: (not claim.first, claim.at, claim.turn))

    def all_before(self, claim: Claim) -> list[Claim]:
        """Everybody who waits and was first, those who are passed over too: their turn comes with their card."""
        waiting = [each for each in self.claims if each.state == "waiting"]
        mine = (not claim.first, claim.at, claim.turn)
        return [each for each in waiting if (not each.first, each.at, each.turn) < mine]

    # --- What happens ---

    def apply(self, person: str, share: str, now: datetime) -> None:
        self.claims.append(Claim(person, share, person, now, turn=len(self.claims)))
        self._give(now)

    def confirm(self, claim: Claim, now: datetime) -> None:
        self.proved.add(claim.card)
        claim.passed_over = False
        if claim.state == "held":
            claim.state, claim.until = "seated", now + TERM
        self._give(now)

    def end(self, claim: Claim, now: datetime) -> None:
        had_seat = claim.has_seat
        claim.state, claim.passed_over = "ended", claim.passed_over
        if had_seat:
            self._sink()
        self._give(now)

    def merge(self, keep: str, other: str, now: datetime) -> None:
        two = [claim for person in (keep, other) if (claim := self.open_claim(person))]
        if len(two) == 2:
            stays, ends = sorted(two, key=lambda claim: (claim.standing, not claim.first, claim.at, claim.turn))
            counting = [claim for claim in two if not claim.passed_over] or two
            if stays.state == "seated":
                counting = [stays]
            not_first, stays.at = min((not claim.first, claim.at) for claim in counting)
            stays.first = not not_first
            self.end(ends, now)
        for claim in self.claims:
            claim.person = keep if claim.person == other else claim.person
        self.gone.add(other)

    def set_cap(self, number: int, now: datetime) -> bool:
        """Says whether it may be so."""
        if number == self.limit or number < sum(terms.floor for terms in self.shares.values()):
            return False
        self.cap, self.planned = max(number, self.taken), number if number < self.taken else None
        self._give(now)
        return True

    def set_terms(self, share: str, terms: Terms, now: datetime) -> bool:
        floors = sum(each.floor for name, each in self.shares.items() if name != share) + terms.floor
        ceiling = terms.ceiling
        if terms == self.shares[share] or floors > self.limit:
            return False
        if ceiling is not None and (ceiling < terms.floor or ceiling < self.taken_of(share)):
            return False
        self.shares[share] = terms
        self._give(now)
        return True

    def time_passes(self, now: datetime) -> None:
        for claim in self.claims:
            if claim.state == "held" and claim.until is not None and claim.until <= now:
                claim.state, claim.passed_over = "waiting", True
                self._sink()
        self._give(now)
        for claim in list(self.claims):
            if claim.state == "seated" and claim.until is not None and claim.until <= now:
                self.end(claim, now)
        self._give(now)

    # --- Who is next ---

    def _sink(self) -> None:
        if self.planned is not None:
            self.cap = max(self.planned, self.taken)
            self.planned = None if self.cap == self.planned else self.planned

    def _give(self, now: datetime) -> None:
        while next_one := next(self._may_have_a_seat(now), None):
            proved = next_one.card in self.proved
            next_one.state, next_one.until = ("seated", now + TERM) if proved else ("held", now + HOLD)

    def _may_have_a_seat(self, now: datetime) -> Iterator[Claim]:
        free = self.limit - self.taken
        if free <= 0:
            return
        line = [claim for claim in self.line() if self._has_room(claim.share)]
        yield from (claim for claim in line if self._unused(claim.share) and not self._lends(claim.share, now))
        kept = sum(self._unused(share) for share in self.shares if not self._lends(share, now))
        if free > kept:
            yield from (claim for claim in line if self._unused(claim.share))
            yield from line

    def _has_room(self, share: str) -> bool:
        ceiling = self.shares[share].ceiling
        return ceiling is None or self.taken_of(share) < ceiling

    def _unused(self, share: str) -> int:
        return max(0, self.shares[share].floor - self.taken_of(share))

    def _lends(self, share: str, now: datetime) -> bool:
        day = self.shares[share].lends_from
        return day is not None and day <= timezone.localdate(now)
