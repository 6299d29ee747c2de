from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from django.core.exceptions import PermissionDenied
from django.db.models import Exists, Min, OuterRef, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from django.views import View

from enrollment.admin import deciding
from enrollment.models import Enrollment
from libraries import scoping
from libraries.models import Card
from libraries.scoped_admin import person

MOST_SHOWN = 25


@dataclass(frozen=True)
class Claim:
    card: Card
    applications: list[Enrollment]


@dataclass(frozen=True)
class Dispute:
    """One number, and everybody who says that it is theirs; the first claim first."""

    institution: str
    number: str
    claims: list[Claim]


class DisputesView(View):
    """The claims on each disputed number side by side. Confirming one refuses the others in the same moment."""

    model_admin: ClassVar[Any] = None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if not self.model_admin.has_view_permission(request):
            raise PermissionDenied
        return super().dispatch(request, *args, **kwargs)

    def get(self, request: HttpRequest) -> HttpResponse:
        site = self.model_admin.admin_site
        context = {
            **site.each_context(request),
            "opts": self.model_admin.opts,
            "title": _("Disputed cards"),
            "disputes": disputes(_visible(request)),
            "may_decide": self.model_admin.has_decide_permission(request),
        }
        return TemplateResponse(request, "admin/disputes.html", context)

    def post(self, request: HttpRequest) -> HttpResponse:
        if not self.model_admin.has_decide_permission(request):
            raise PermissionDenied
        chosen = request.POST.get("card", "")
        if not chosen.isdecimal() or not _visible(request).filter(pk=chosen).exists():
            raise Http404
        deciding.confirm_each(request, [int(chosen)], over_confirmed=True)
        return HttpResponseRedirect(request.path)


def _visible(request: HttpRequest) -> QuerySet[Card]:
    ids = scoping.institutions_of(person(request))
    return Card.objects.all() if ids is None else Card.objects.filter(institution_id__in=ids)


def disputes(visible: QuerySet[Card]) -> list[Dispute]:
    """The oldest first, with three queries. Only numbers somebody still applies with."""
    carrying = Enrollment.objects.open()
    carried = Exists(carrying.filter(card=OuterRef("pk"))) | Exists(carrying.filter(next_card=OuterRef("pk")))
    waiting = visible.filter(carried, state=Card.State.DISPUTED)
    pairs = waiting.values("institution_id", "number").annotate(first=Min("claimed_at")).order_by("first")
    keys = [(row["institution_id"], row["number"]) for row in pairs[:MOST_SHOWN]]
    cards = _open_cards(visible, keys)
    applications = _applications(cards)
    found: dict[tuple[int, str], Dispute] = {}
    for card in cards:
        key = (card.institution_id, card.number)
        dispute = found.setdefault(key, Dispute(card.institution.name, card.number, []))
        dispute.claims.append(Claim(card, applications.get(card.pk, [])))
    return [found[key] for key in keys if key in found]


def _open_cards(visible: QuerySet[Card], keys: list[tuple[int, str]]) -> list[Card]:
    rows = visible.filter(state__in=Card.OPEN, number__in={number for _pk, number in keys})
    wanted = set(keys)
    rows = rows.select_related("user", "library", "institution", "decided_by").order_by("claimed_at", "pk")
    return [card for card in rows if (card.institution_id, card.number) in wanted]


def _applications(cards: list[Card]) -> dict[int, list[Enrollment]]:
    found: dict[int, list[Enrollment]] = {}
    carried = Q(card__in=cards) | Q(next_card__in=cards)
    ids = {card.pk for card in cards}
    for row in Enrollment.objects.open().filter(carried).select_related("pool__programme").order_by("pk"):
        for card_id in ids & {row.card_id, row.next_card_id}:
            found.setdefault(card_id, []).append(row)
    return found
