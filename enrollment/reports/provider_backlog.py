"""What is owed to a provider, as staff read it: how much, of what kind, since when, what is stuck, what it takes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import models
from django.db.models import Case, Count, F, Min, Q, QuerySet, Sum, Value, When
from django.utils.translation import gettext_lazy as _

from catalog.line import WINDOW
from catalog.models import Provider
from catalog.provider import registry
from enrollment.models import ProviderAccount
from enrollment.models.owed import address_is_proved
from enrollment.reports import troubles


class Kind(models.TextChoices):
    OPEN = "open", _("to open")
    CHANGE = "change", _("to look at or change")
    CLOSE = "close", _("to close")
    ERASE = "erase", _("to erase")


class Age(models.TextChoices):
    """Up to and without the bound in AGES."""

    NOW = "0", _("less than a minute")
    SOON = "1", _("1 to 15 minutes")
    LONG = "2", _("15 to 60 minutes")
    LONGER = "3", _("longer than an hour")


AGES = {Age.NOW: timedelta(minutes=1), Age.SOON: timedelta(minutes=15), Age.LONG: timedelta(hours=1)}


@dataclass(frozen=True)
class Part:
    label: str
    count: int
    percent: int = 0


@dataclass(frozen=True)
class Stuck:
    trouble: str
    words: str
    count: int
    first: datetime


@dataclass(frozen=True)
class Backlog:
    """`waiting` are those that the portal works on; `unproved` wait for the member to prove an address. `minutes`: how
    long the provider takes for those at what it allows, at least one."""

    kinds: Sequence[Part]
    ages: Sequence[Part]
    waiting: int
    oldest: datetime | None
    stuck: Sequence[Stuck] = field(default_factory=list)
    unproved: int = 0
    calls: int = 0
    minutes: int = 0

    @property
    def stuck_count(self) -> int:
        return sum(each.count for each in self.stuck)


def backlog(provider: Provider, *, now: datetime) -> Backlog:
    """With one query, over what is owed alone."""
    found = list(groups(provider, now))
    waiting = [group for group in found if not group["is_stuck"] and group["is_proved"]]
    kinds, ages, calls = Counter[str](), Counter[str](), 0
    for group in waiting:
        kinds[group["kind"]] += group["count"]
        ages[group["age"]] += group["count"]
        calls += group["calls"]
    total = kinds.total()
    return Backlog(
        kinds=[Part(str(kind.label), kinds[kind]) for kind in Kind],
        ages=[Part(str(age.label), ages[age], math.ceil(100 * ages[age] / total) if total else 0) for age in Age],
        waiting=total,
        oldest=min((group["oldest"] for group in waiting), default=None),
        stuck=_stuck([group for group in found if group["is_stuck"]]),
        unproved=sum(group["count"] for group in found if not group["is_stuck"] and not group["is_proved"]),
        calls=calls,
        minutes=math.ceil(calls * WINDOW / provider.calls_per_second / 60),
    )


def groups(provider: Provider, now: datetime) -> QuerySet[ProviderAccount, dict[str, Any]]:
    kind = Case(
        When(must_be_erased=True, then=Value(Kind.ERASE)),
        When(must_be_active=False, then=Value(Kind.CLOSE)),
        When(seen=ProviderAccount.Seen.ACTIVE, then=Value(Kind.CHANGE)),
        default=Value(Kind.OPEN),
        output_field=models.CharField(),
    )
    age = Case(
        *(When(turn_at__gt=now - bound, then=Value(name)) for name, bound in AGES.items()),
        default=Value(Age.LONGER),
        output_field=models.CharField(),
    )
    to_open = registry.calls_to_open(provider.kind)
    calls = Case(
        When(must_be_active=True, first_claimed_at=None, then=Value(to_open)),
        When(must_be_active=True, then=Value(max(to_open - 1, 2))),
        default=Value(2),
        output_field=models.IntegerField(),
    )
    is_proved = Case(When(Q(must_be_active=False) | address_is_proved(), then=Value(True)), default=Value(False))
    is_stuck = Case(When(stuck_at__isnull=False, then=Value(True)), default=Value(False))
    stuck_by = Case(When(stuck_at__isnull=False, then=F("trouble")), default=Value(""))
    owed = ProviderAccount.objects.owed().filter(provider=provider)
    rows = owed.annotate(kind=kind, age=age, each=calls, is_proved=is_proved, is_stuck=is_stuck, stuck_by=stuck_by)
    return rows.values("kind", "age", "is_proved", "is_stuck", "stuck_by").annotate(
        count=Count("pk"), oldest=Min("turn_at"), first=Min("stuck_at"), calls=Sum("each")
    )


def _stuck(groups: Sequence[dict[str, Any]]) -> list[Stuck]:
    """Those with most rows first."""
    counts, firsts = Counter[str](), dict[str, datetime]()
    for group in groups:
        trouble, first = group["stuck_by"], group["first"]
        counts[trouble] += group["count"]
        firsts[trouble] = min(first, firsts.get(trouble, first))
    return [Stuck(code, troubles.in_words(code), count, firsts[code]) for code, count in counts.most_common()]
