"""What an erasure's page tells: what was erased where, and when. It says nothing of whom."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from enrollment import erase_plan
from enrollment.models import Erasure, ProviderAccount


@dataclass(frozen=True)
class Place:
    """A provider, and when it was found to have no account of the person any more."""

    name: str
    erased_at: datetime | None


def certificate_of(code: str) -> tuple[Erasure, list[Place]] | None:
    erasure = Erasure.objects.filter(code=code).first()
    if erasure is None:
        return None
    found = ProviderAccount.objects.filter(user_id__in=erase_plan.people_of(erasure.user_id))
    rows = found.order_by("provider__name", "pk").values_list("provider__name", "erased_at")
    places = [Place(*row) for row in rows]
    if any(place.erased_at is None for place in places):  # one may have been found there again
        erasure.finished_at = None
    return erasure, places
