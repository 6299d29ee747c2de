"""One comparison with a provider, as people read it: how much of what, what it means, and what a repair does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import Case, Count, F, OuterRef, Q, QuerySet, Subquery, TextChoices, Value, When
from django.db.models.functions import Coalesce
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from catalog.provider import registry
from enrollment import repairing
from enrollment.models import Difference, ProviderAccount, Reconciliation
from enrollment.repairing import Obstacle
from enrollment.reports import troubles

PER_PAGE = 50
Kind, Repair, State = Difference.Kind, Difference.Repair, Difference.State
Seen = ProviderAccount.Seen
Text = str | Promise


class Fate(TextChoices):
    """What has become of a difference. A repair is work owed for its account, and the account says how that goes."""

    OPEN = "open", _("still to be decided")
    REPAIRING = "repairing", _("being repaired")
    REPAIRED = "repaired", _("repaired")
    FAILED = "failed", _("repair did not work")
    OVERTAKEN = "overtaken", _("overtaken: something else is to be done about the account")
    LEFT = "left", _("left as it is")
    GONE = "gone", _("no longer so")


# Since then the provider was seen to agree; or nothing is owed any more, and all that was owed was done.
_AGREES = (
    Q(account__due_at=None)
    | Q(repair=Repair.ERASE, account__erased_at__gte=F("decided_at"))
    | Q(account__must_be_active=True, account__seen=Seen.ACTIVE, account__seen_at__gte=F("decided_at"))
    | Q(
        account__must_be_active=False,
        account__must_be_erased=False,
        account__seen__in=[Seen.ABSENT, Seen.INACTIVE],
        account__seen_at__gte=F("decided_at"),
    )
)
# Whatever is owed anew gets a turn of its own, but what a provider is slow to erase waits in it since then.
_OWED_ANEW = Q(account__turn_at__gt=F("decided_at")) & ~Q(repair=Repair.ERASE)
_FATE = Case(
    When(~Q(state=State.REPAIRED), then=F("state")),
    When(_AGREES, then=Value(Fate.REPAIRED)),
    When(_OWED_ANEW, then=Value(Fate.OVERTAKEN)),
    When(account__stuck_at__isnull=False, then=Value(Fate.FAILED)),
    default=Value(Fate.REPAIRING),
)

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
    """All differences of a kind: `open` of them are still to be decided, `repairable` of those by the portal. `fates`
    counts what has become of the others."""

    kind: str
    label: Text
    meaning: Text
    repair: Text
    total: int
    open: int
    repairable: int
    fates: Sequence[tuple[Fate, int]]


@dataclass(frozen=True)
class Comparison:
    run: Reconciliation
    piles: Sequence[Pile]
    has_list: bool
    before: Reconciliation | None
    obstacle: Obstacle | None

    @property
    def foreign(self) -> int:
        """What the portal did not make: it is never touched."""
        return max(self.run.listed - self.run.ours, 0)


def comparison(run: Reconciliation) -> Comparison:
    """With three queries, however many differences there are."""
    return Comparison(run, _piles(run), has_list(run), before(run), repairing.obstacle_to(run, acts=True))


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


def before(run: Reconciliation) -> Reconciliation | None:
    """The last one with this provider that was trusted by then: what this one is measured by."""
    if run.finished_at is None:
        return None
    trusted = Reconciliation.objects.trusted().filter(provider_id=run.provider_id, finished_at__lt=run.finished_at)
    return trusted.order_by("-finished_at", "-pk").first()


def has_list(run: Reconciliation) -> bool:
    return bool(getattr(registry.CLIENTS.get(run.provider.kind), "has_list", True))


def totals(run: Reconciliation) -> dict[str, int]:
    return {pile.kind: pile.total for pile in _piles(run)}


def _piles(run: Reconciliation) -> list[Pile]:
    rows = run.differences.annotate(fate=_FATE).values_list("kind", "fate", "repair").annotate(Count("pk")).order_by()
    found = list(rows)
    piles = []
    for kind in Kind:
        fates: Counter[str] = Counter()
        for each, fate, _repair, count in found:
            fates[fate] += count if each == kind else 0
        repairable = sum(
            count for each, fate, repair, count in found if each == kind and fate == Fate.OPEN and repair != Repair.LOOK
        )
        told = [(fate, fates[fate]) for fate in Fate if fates[fate] and fate != Fate.OPEN]
        counts = {"total": fates.total(), "open": fates[Fate.OPEN], "repairable": repairable, "fates": told}
        piles.append(Pile(kind.value, kind.label, MEANINGS[kind], REPAIRS[kind], **counts))
    return piles


@dataclass(frozen=True)
class Row:
    """One difference, and what has become of it; `why` a repair did not work."""

    difference: Difference
    fate: Fate
    why: Text


def page_of(run: Reconciliation, *, kind: str, fate: str, number: str) -> Page[Any]:
    """The differences of this kind with this fate (of all, where there is no such), as rows of a page."""
    rows = run.differences.select_related("account", "decided_by").annotate(fate=_FATE).order_by("pk")
    if kind in Kind.values:
        rows = rows.filter(kind=kind)
    if fate in Fate.values:
        rows = rows.filter(fate=fate)
    page: Page[Any] = Paginator(rows, PER_PAGE).get_page(number)
    page.object_list = [Row(row, Fate(row.fate), _why(row) if row.fate == Fate.FAILED else "") for row in page]
    return page


def _why(row: Difference) -> Text:
    return troubles.in_words(row.account.trouble) if row.account else ""
