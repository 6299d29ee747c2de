"""Which card its owner could prove with a PIN now."""

from __future__ import annotations

from enrollment.models import Enrollment
from libraries.models import Card

# What should be loaded of the enrollments that are asked about.
SYSTEMS = ("card__library__institution__system", "next_card__library__institution__system")


def card_to_prove(enrollment: Enrollment) -> Card | None:
    """The card of an open application that waits for its check; the new one where there is one."""
    card = enrollment.next_card or enrollment.card
    system = card.library.institution.asked_system
    undecided = card.state in (Card.State.CLAIMED, Card.State.DISPUTED)
    is_open = enrollment.state != Enrollment.State.ENDED
    return card if is_open and undecided and system and system.asks_pin else None


def asks_back(enrollment: Enrollment) -> bool:
    """Whether its library's system did not answer, and the member is to come back with the PIN."""
    card = card_to_prove(enrollment)
    system = card.library.institution.asked_system if card and card.unanswered_since else None
    return bool(system and system.asks_back)
