"""What waits for a person in the workplace, and the seats in figures; each within what the person may see."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Min, Q, QuerySet

from catalog.models import ProviderLine
from enrollment.models import Enrollment, Letter, ProviderAccount, SeatPool, Share
from enrollment.models.enrollment import EnrollmentQuerySet
from enrollment.reports.availability import availabilities, availability
from libraries import scoping
from libraries.models import Card, User


@dataclass(frozen=True)
class Pile:
    """So many things that wait, and since (or until) when the first of them."""

    count: int = 0
    first: datetime | None = None


@dataclass(frozen=True)
class Workload:
    """`accounts` and `letters` are those that got stuck; None for who does not follow the provider."""

    to_check: Pile
    disputed: Pile
    lapsing: Pile
    accounts: Pile | None
    letters: Pile | None
    # Providers that are down.
    down: Pile | None

    @property
    def is_empty(self) -> bool:
        piles = (self.to_check, self.disputed, self.lapsing, self.accounts, self.letters, self.down)
        return not any(pile.count for pile in piles if pile)


@dataclass(frozen=True)
class Figures:
    """`cap` and `free` are None for an institution without a ceiling: it shares what the programme has left."""

    name: str
    cap: int | None
    taken: int
    free: int | None
    waiting: int
    guaranteed: int = 0


@dataclass(frozen=True)
class ProgrammeFigures:
    pool: SeatPool
    total: Figures
    institutions: list[Figures]


def to_check(user: User) -> EnrollmentQuerySet:
    """With a card, or a new card, that the user's institutions have to look at."""
    return Enrollment.objects.with_card_in(Card.State.CLAIMED, of=scoping.institutions_of(user))


def disputed(user: User) -> EnrollmentQuerySet:
    return Enrollment.objects.with_card_in(Card.State.DISPUTED, of=scoping.institutions_of(user))


def lapsing(rows: EnrollmentQuerySet, *, now: datetime) -> EnrollmentQuerySet:
    """Held seats that are released within days unless the card is confirmed; their library gets a letter about them."""
    return rows.hold_ending(now)


def visible_to(user: User) -> EnrollmentQuerySet:
    ids = scoping.institutions_of(user)
    rows = Enrollment.objects.all()
    return rows if ids is None else rows.of_institutions(ids)


def workload(user: User, *, now: datetime) -> Workload:
    """With one query for each pile."""
    rows = visible_to(user)
    central = scoping.institutions_of(user) is None
    return Workload(
        to_check=_pile(to_check(user), "applied_at"),
        disputed=_pile(disputed(user), "applied_at"),
        lapsing=_pile(lapsing(rows, now=now), "hold_until"),
        accounts=_pile(ProviderAccount.objects.stuck(), "stuck_at") if central else None,
        letters=_pile(Letter.objects.stuck(), "stuck_at") if central else None,
        down=_pile(ProviderLine.objects.filter(down_since__isnull=False), "down_since") if central else None,
    )


def _pile(rows: QuerySet[Any], moment: str) -> Pile:
    found = rows.aggregate(count=Count("pk"), first=Min(moment))
    return Pile(found["count"], found["first"])


def programmes(user: User) -> list[ProgrammeFigures]:
    """The seats of each programme, and of each institution in it that the person may see; with four queries."""
    ids = scoping.institutions_of(user)
    pools = list(SeatPool.objects.select_related("programme").order_by("programme__opens_on", "pk"))
    seats = availabilities(pools)
    shares = _shares(pools, ids)
    return [
        ProgrammeFigures(pool, _total(pool, seats[pool.pk].waiting), shares.get(pool.pk, []))
        for pool in pools
        if ids is None or pool.pk in shares
    ]


def of_pool(pool: SeatPool) -> Figures:
    return _total(pool, availability(pool).waiting)


def _total(pool: SeatPool, waiting: int) -> Figures:
    return Figures(pool.programme.name, pool.limit, pool.taken, pool.free, waiting)


def _shares(pools: Iterable[SeatPool], ids: Collection[int] | None) -> dict[int, list[Figures]]:
    waiting = Count("enrollments", filter=Q(enrollments__state="waiting", enrollments__passed_over=False))
    rows = Share.objects.filter(pool__in=pools).select_related("institution").order_by("institution__name")
    rows = rows if ids is None else rows.filter(institution_id__in=ids)
    found: dict[int, list[Figures]] = {}
    for share in rows.annotate(waiting=waiting):
        free = None if share.ceiling is None else share.ceiling - share.taken
        figures = Figures(share.institution.name, share.ceiling, share.taken, free, share.waiting, share.floor)
        found.setdefault(share.pool_id, []).append(figures)
    return found
