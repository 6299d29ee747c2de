"""Tell the operators of what does not mend itself: once for each provider, for as long as it lasts."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef

from catalog import breaker
from catalog.models import ProviderLine
from enrollment.models import Letter, ProviderAccount
from libraries import scoping

Role = scoping.Role

# A trouble that is over within this time is no news.
AFTER = timedelta(minutes=15)
Kind = Letter.Kind


def tell_operators(*, now: datetime) -> int:
    """Owe each operator (each coordinator, where there are no operators) a letter for every provider that has had
    accounts stuck, or been down, for so long; say how many letters. Told again only when it was over in between. While
    there is nobody to tell, nothing is noted."""
    _forget_what_is_over()
    people = scoping.staff_with(Role.OPERATOR) or scoping.staff_with(Role.COORDINATOR)
    if not people:
        return 0
    long_ago = now - AFTER
    stuck = ProviderAccount.objects.stuck().filter(stuck_at__lte=long_ago).order_by("provider_id")
    down = ProviderLine.objects.filter(down_since__lte=long_ago, down_told_at=None).order_by("pk")
    told = 0
    for provider_id in (
        stuck.exclude(provider__line__stuck_told_at__isnull=False).values_list("provider_id", flat=True).distinct()
    ):
        breaker.make(provider_id)
        told += _tell(Kind.ACCOUNTS_STUCK, provider_id, "stuck_told_at", people, now=now)
    for provider_id in down.values_list("pk", flat=True):
        told += _tell(Kind.PROVIDER_DOWN, provider_id, "down_told_at", people, now=now)
    return told


@transaction.atomic
def _tell(kind: str, provider_id: int, told_at: str, people: Collection[int], *, now: datetime) -> int:
    """Of several sweeps at once one writes the moment, and owes the letters with it."""
    untold = ProviderLine.objects.filter(pk=provider_id, **{told_at: None})
    if not untold.update(**{told_at: now}):
        return 0
    Letter.objects.owe_to_staff(kind, people, now=now, provider_id=provider_id)
    return len(people)


def _forget_what_is_over() -> None:
    stuck = ProviderAccount.objects.stuck().filter(provider=OuterRef("pk"))
    ProviderLine.objects.filter(~Exists(stuck), stuck_told_at__isnull=False).update(stuck_told_at=None)
    ProviderLine.objects.filter(down_since=None, down_told_at__isnull=False).update(down_told_at=None)
