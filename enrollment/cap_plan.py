"""What a coordinator plans for the seats of a programme, why it may not be, and what it will do."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any

from django.db import models
from django.db.models import Count
from django.utils.translation import gettext_lazy as _

from catalog.models import Provider
from catalog.provider import registry
from enrollment import seats
from enrollment.models import Enrollment, ProviderAccount, SeatPool, Share

HIGHEST_CAP = 1_000_000


class Obstacle(models.TextChoices):
    NOT_COORDINATOR = "not_coordinator", _("Only a coordinator may change the number of places.")
    NO_REASON = "no_reason", _("Write why the number of places changes.")
    UNCHANGED = "unchanged", _("That is how it is already.")
    OPENED = "opened", _("This programme has places already.")
    IN_THE_PAST = "in_the_past", _("This day has passed. Leave the day empty to change it now.")
    TOO_LOW = "too_low", _("The number of places cannot be below zero.")
    TOO_HIGH = "too_high", _("This number is too high. Check it.")
    BELOW_FLOORS = "below_floors", _("Together, the institutions are guaranteed more places than there would be.")
    CEILING_BELOW_FLOOR = (
        "ceiling_below_floor",
        _("An institution cannot be guaranteed more places than it may have at most."),
    )
    CEILING_BELOW_TAKEN = (
        "ceiling_below_taken",
        _("An institution has more places now than this allows. Nobody loses a place: choose a higher number."),
    )


@dataclass(frozen=True, kw_only=True)
class Terms:
    """Of one institution's share; `ceiling` None: no limit, `lends_from` None: what is unused is kept free."""

    floor: int = 0
    ceiling: int | None = None
    lends_from: date | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A new cap (None: as it is) and new terms for some shares, by the shares' ids."""

    cap: int | None = None
    shares: Mapping[int, Terms] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return self.cap is None and not self.shares


@dataclass(frozen=True)
class Before:
    """A pool and all of its shares, as they are: read under the pool's lock where something is to be decided."""

    pool: SeatPool
    shares: Sequence[Share]

    @property
    def terms(self) -> dict[int, Terms]:
        return {
            share.pk: Terms(floor=share.floor, ceiling=share.ceiling, lends_from=share.lends_from)
            for share in self.shares
        }


def before(pool: SeatPool) -> Before:
    return Before(pool, list(pool.shares.select_related("institution").order_by("institution__name", "pk")))


def what_changes(plan: Plan, at: Before) -> Plan:
    """The plan without what is as it is already. Shares of another pool are left out."""
    terms = at.terms
    return Plan(
        cap=None if plan.cap == at.pool.limit else plan.cap,
        shares={pk: new for pk, new in plan.shares.items() if pk in terms and terms[pk] != new},
    )


def senseless(plan: Plan) -> Obstacle | None:
    """What stands against a plan whatever the seats are."""
    numbers = [number for each in plan.shares.values() for number in (each.floor, each.ceiling) if number is not None]
    numbers += [] if plan.cap is None else [plan.cap]
    if any(number < 0 for number in numbers):
        return Obstacle.TOO_LOW
    if any(number > HIGHEST_CAP for number in numbers):
        return Obstacle.TOO_HIGH
    if any(each.ceiling is not None and each.ceiling < each.floor for each in plan.shares.values()):
        return Obstacle.CEILING_BELOW_FLOOR
    return None


def obstacle(plan: Plan, at: Before) -> Obstacle | None:
    """What stands against a plan as the seats are."""
    if found := senseless(plan):
        return found
    terms = {**at.terms, **plan.shares}
    if sum(each.floor for each in terms.values()) > _limit(plan, at):
        return Obstacle.BELOW_FLOORS
    for share in at.shares:
        ceiling = terms[share.pk].ceiling
        if ceiling is not None and ceiling < share.taken:
            return Obstacle.CEILING_BELOW_TAKEN
    return None


def _limit(plan: Plan, at: Before) -> int:
    return at.pool.limit if plan.cap is None else plan.cap


# --- What it will do ---


@dataclass(frozen=True)
class ShareAfter:
    institution: str
    terms: Terms
    taken: int
    seated: int
    held: int
    waiting: int

    @property
    def given(self) -> int:
        return self.seated + self.held


@dataclass(frozen=True)
class Preview:
    """What a plan would do now. `fingerprint` is the same as long as it would do the same to the same people.

    `obstacle`: why it could not be done now; only for a plan that is for later. `seconds`: so long the provider needs
    for the accounts it opens, after those it has to settle already.
    """

    limit: int
    taken: int
    shares: Sequence[ShareAfter]
    fingerprint: str
    obstacle: Obstacle | None = None
    seconds: int = 0

    @property
    def minutes(self) -> int:
        """Begun ones count."""
        return math.ceil(self.seconds / 60)

    @property
    def seated(self) -> int:
        return sum(share.seated for share in self.shares)

    @property
    def held(self) -> int:
        return sum(share.held for share in self.shares)

    @property
    def given(self) -> int:
        return self.seated + self.held

    @property
    def letters(self) -> int:
        """One to each, and one more when the account is ready."""
        return self.given + self.seated

    @property
    def waiting(self) -> int:
        return sum(share.waiting for share in self.shares)

    @property
    def free(self) -> int:
        return max(0, self.limit - self.taken - self.given)

    @property
    def to_sink(self) -> int:
        """So many seats have to end before the cap is what it should be."""
        return max(0, self.taken - self.limit)


def foresee(plan: Plan, at: Before, *, now: datetime) -> Preview:
    """With four queries at most, however many wait."""
    limit, terms = _limit(plan, at), {**at.terms, **plan.shares}
    rows = [{"id": pk, **asdict(each)} for pk, each in plan.shares.items()]
    given = seats.foresee(at.pool, free=limit - at.pool.taken, terms=rows, now=now)
    waiting = _waiting(at.pool)
    after = [_after(share, terms[share.pk], given, waiting.get(share.pk, 0)) for share in at.shares]
    facts = (at.pool.limit, limit, at.pool.taken, [(share.pk, share.taken) for share in at.shares], terms, given)
    fingerprint = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
    seconds = _seconds(at.pool, sum(each.seated for each in given))
    return Preview(limit, at.pool.taken, after, fingerprint, obstacle(plan, at), seconds)


def _seconds(pool: SeatPool, seated: int) -> int:
    """Those who wait for an account already come first: at this provider, for whichever programme."""
    provider = Provider.objects.get(programmes__pool=pool)
    owed = ProviderAccount.objects.owed().filter(provider=provider, stuck_at=None).count()
    calls = (owed + seated) * registry.calls_to_open(provider.kind)
    return math.ceil(calls / provider.calls_per_second)


def _after(share: Share, terms: Terms, given: Sequence[seats.Expected], waiting: int) -> ShareAfter:
    seated, held = next(((each.seated, each.held) for each in given if each.share_id == share.pk), (0, 0))
    return ShareAfter(share.institution.name, terms, share.taken, seated, held, waiting - seated - held)


def _waiting(pool: SeatPool) -> dict[Any, int]:
    lines = Enrollment.objects.in_line().filter(pool=pool).values("share_id")
    return {row["share_id"]: row["people"] for row in lines.annotate(people=Count("pk"))}
