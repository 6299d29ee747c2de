"""What a librarian at the desk sees of a card, and what the person takes home on paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.utils import timezone

from enrollment import using, waiting_list
from enrollment.models import Enrollment
from libraries import scoping
from libraries.models import Card, User


@dataclass(frozen=True)
class Standing:
    """A claim on the number that is there already, with its open applications."""

    card: Card
    applications: Sequence[Enrollment]


def standing_of(institution_id: int, number: str) -> list[Standing]:
    """Everybody who claims the number; the first claim first."""
    cards = Card.objects.filter(institution_id=institution_id, number=number, state__in=Card.OPEN)
    found = cards.select_related("user", "library").order_by("claimed_at", "pk")
    return [Standing(card, _applications(card)) for card in found]


def _applications(card: Card) -> list[Enrollment]:
    return list(Enrollment.objects.open().filter(card=card).select_related("pool__programme").order_by("pk"))


def sheet_of(row: Enrollment, user: User) -> dict[str, Any]:
    """For the paper that the person takes home: of the card no more than its end, nothing where `user` may not see it,
    and the address as it was typed, so that a mistake is seen."""
    programme = row.pool.programme
    return {
        "row": row,
        "member": row.user,
        "programme": programme,
        "provider": programme.provider.name,
        "library": row.card.library,
        "card_end": row.card.number[-3:] if scoping.may_see(user, row.card.institution_id) else "",
        "place": waiting_list.place_of(row),
        "proved": row.user.address_proved_at is not None,
        "until": using.prove_until(row),
        "site": urlsplit(settings.SITE_URL).netloc,
        "today": timezone.localdate(),
    }
