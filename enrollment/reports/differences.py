"""One comparison with a provider, as people read it: how much of what, what it means, and what a repair does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.core.paginator import Page, Paginator
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from catalog.provider import registry
from enrollment import repairing
from enrollment.models import Difference, Reconciliation
from enrollment.repairing import Obstacle
from enrollment.reports import troubles

PER_PAGE = 50
Kind, Repair, State = Difference.Kind, Difference.Repair, Difference.State
Text = str | Promise

MEANINGS: dict[str, Text] = {
    Kind.ONLY_HERE: _("The account must be open, but is not on the provider's list: it got lost there."),
    Kind.ONLY_THERE: _(
        "The account is on the provider's list and carries an id of ours, but nobody here needs it: either it belongs "
        "to a person whose data are erased, or nobody here has this id."
    ),
    Kind.OTHER_DATA: _("The provider has another email address or name for this person, or gave the account a new id."),
    Kind.OPEN_THERE: _("The account is open at the provider, but no place belongs to it any more."),
    Kind.CLOSED_THERE: _("The account is closed at the provider, but the member has a place."),
    Kind.TWO_THERE: _("Two accounts at the provider carry the id of this person."),
    Kind.ADOPTED: _("The account that was this person's now belongs to somebody else, says the provider."),
}
REPAIRS: dict[str, Text] = {
    Kind.ONLY_HERE: _("Look once more, and open the account again where it is missing."),
    Kind.ONLY_THERE: _("Erase the accounts of persons whose data are erased. The others somebody has to look at."),
    Kind.OTHER_DATA: _("Look once more, and tell the provider what stands here."),
    Kind.OPEN_THERE: _("Look once more, and close the account."),
    Kind.CLOSED_THERE: _("Look once more, and open the account again."),
    Kind.TWO_THERE: _(
        "The portal does nothing by itself. Ask the provider which account the member uses, and have the other one "
        "removed there."
    ),
    Kind.ADOPTED: _(
        "The portal does nothing by itself. Ask the provider who changed the account; when it was a mistake, have our "
        "id set right there."
    ),
}
LOOK_ONLY_THERE = _("Ask the provider who made this account. When nobody uses it, have it removed there.")


@dataclass(frozen=True)
class Pile:
    """All differences of a kind: `open` of them are still to be decided, `repairable` of those by the portal."""

    kind: str
    label: Text
    meaning: Text
    repair: Text
    total: int
    open: int
    repairable: int


@dataclass(frozen=True)
class Comparison:
    run: Reconciliation
    piles: Sequence[Pile]
    has_list: bool
    obstacle: Obstacle | None

    @property
    def foreign(self) -> int:
        """What the portal did not make: it is never touched."""
        return max(self.run.listed - self.run.ours, 0)


def comparison(run: Reconciliation) -> Comparison:
    """With two queries, however many differences there are."""
    return Comparison(run, _piles(run), has_list(run), repairing.obstacle_to(run, acts=True))


def standing(run: Reconciliation) -> Text:
    """How far it is, in a few words."""
    if run.stuck_at is not None:
        return _("did not succeed")
    if run.finished_at is None:
        return _("is under way") if run.lease_token else _("waits")
    if run.is_trusted:
        return _("finished")
    return format_lazy(_("not trusted: {why}"), why=run.get_doubt_display())


def with_open_counts(runs: QuerySet[Reconciliation]) -> QuerySet[Reconciliation]:
    """With `to_decide`: how many of its differences nobody has decided about. Of old ones nobody need any more."""
    mine = Difference.objects.filter(reconciliation=OuterRef("pk"), state=State.OPEN).order_by()
    number = mine.values("reconciliation").annotate(number=Count("pk")).values("number")
    return runs.annotate(to_decide=Coalesce(Subquery(number), 0))


def trouble(run: Reconciliation) -> Text:
    """Why it has not come to its end."""
    return troubles.in_words(run.trouble) if run.trouble and run.finished_at is None else ""


def has_list(run: Reconciliation) -> bool:
    return bool(getattr(registry.CLIENTS.get(run.provider.kind), "has_list", True))


def totals(run: Reconciliation) -> dict[str, int]:
    return {pile.kind: pile.total for pile in _piles(run)}


def _piles(run: Reconciliation) -> list[Pile]:
    rows = run.differences.values_list("kind", "state", "repair").annotate(Count("pk")).order_by()
    found = list(rows)
    piles = []
    for kind in Kind:
        mine = [(state, repair, count) for each, state, repair, count in found if each == kind]
        still_open = [(repair, count) for state, repair, count in mine if state == State.OPEN]
        total = sum(count for _state, _repair, count in mine)
        repairable = sum(count for repair, count in still_open if repair != Repair.LOOK)
        open_ = sum(count for _repair, count in still_open)
        piles.append(Pile(kind.value, kind.label, MEANINGS[kind], REPAIRS[kind], total, open_, repairable))
    return piles


def page_of(run: Reconciliation, *, kind: str, state: str, number: str) -> Page[Difference]:
    """The differences of this kind and in this state (of all, where there is no such), a page at a time."""
    rows: QuerySet[Difference] = run.differences.select_related("account", "decided_by").order_by("pk")
    if kind in Kind.values:
        rows = rows.filter(kind=kind)
    if state in State.values:
        rows = rows.filter(state=state)
    return Paginator(rows, PER_PAGE).get_page(number)
