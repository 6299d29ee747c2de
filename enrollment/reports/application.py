"""One application, as staff see it."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from enrollment import system_checks
from enrollment.models import Enrollment, ProviderAccount
from enrollment.reports import prospect, timeline, troubles
from libraries import scoping
from libraries.models import Card, StaffRole, User

UNDECIDED = (Card.State.CLAIMED, Card.State.DISPUTED)
CENTRAL = (StaffRole.Role.COORDINATOR, StaffRole.Role.OPERATOR, StaffRole.Role.AUDITOR)
DECIDERS = (StaffRole.Role.LIBRARIAN, StaffRole.Role.COORDINATOR)


def card_to_decide(row: Enrollment, user: User) -> Card | None:
    """The new card before the one the application stands on, where this person may decide about it."""
    for card in (row.next_card, row.card):
        if card is not None and card.state in UNDECIDED and scoping.may_decide_on(user, card.institution_id):
            return card
    return None


def card_shown(row: Enrollment, user: User) -> Card:
    """The one that this person looks at: to decide about it, else the one the application stands on."""
    return card_to_decide(row, user) or (row.card if is_theirs(row, user) else row.next_card or row.card)


def is_theirs(row: Enrollment, user: User) -> bool:
    """Whether it counts at an institution of this person's, or stands on a card of one. Whoever sees it only for the
    new card that a person has given sees that card and who gave it, and nothing of the other institution's."""
    ids = scoping.institutions_of(user)
    return ids is None or bool({row.share.institution_id, row.card.institution_id} & set(ids))


def facts_of(row: Enrollment, user: User) -> dict[str, Any]:
    """For its page, as this person may see and do it."""
    cards = Card.objects.select_related("library", "institution", "decided_by")
    found = cards.in_bulk([pk for pk in (row.card_id, row.next_card_id) if pk is not None])
    card = found[row.card_id]
    provider_id = row.pool.programme.provider_id
    account = ProviderAccount.objects.filter(user_id=row.user_id, provider_id=provider_id).first()
    may_act, theirs, on_trial = scoping.may(user, *DECIDERS), is_theirs(row, user), card_to_decide(row, user)
    ids = None if theirs else scoping.institutions_of(user)
    return {
        "row": row,
        "is_theirs": theirs,
        "on_trial": on_trial,
        "sees_new_card": row.next_card is not None and scoping.may_see(user, row.next_card.institution_id),
        "prospect": prospect.prospect_of(row, now=timezone.now()),
        "card": card,
        "new_card": found.get(row.next_card_id or 0),
        "account": account if theirs else None,
        "follows_accounts": scoping.may(user, *CENTRAL),
        "account_trouble": troubles.in_words(account.trouble) if account else "",
        "timeline": timeline.timeline(row, of=ids),
        "to_look_up": [each for each in found.values() if system_checks.may_look_up(user, row, each)],
        "rivals": any(_has_rivals(each) for each in found.values() if scoping.may_see(user, each.institution_id)),
        "how": timeline.in_words(card.decided_how),
        "may_decide": may_act and on_trial is not None,
        "may_end": row.state != Enrollment.State.ENDED and scoping.may_decide_on(user, row.share.institution_id),
        "is_first": row.priority == Enrollment.FIRST,
        "title": _("Application %(number)s") % {"number": row.pk},
        "subtitle": None,
    }


def _has_rivals(card: Card) -> bool:
    return card.state in Card.OPEN and Card.objects.rivals_of(card).filter(state__in=Card.OPEN).exists()
