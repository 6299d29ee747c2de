"""Confirm, refuse and end: for one application or many, each through its operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from enrollment import card_checking, ending
from enrollment.admin.base import Text, act_on_each, ask, too_many
from enrollment.admin_forms import EndForm, RefusalForm
from enrollment.models import Enrollment
from enrollment.reports.application import DECIDERS, card_shown, card_to_decide
from libraries import scoping
from libraries.models import Card, User
from libraries.scoped_admin import ScopedAdmin, person

Rows = QuerySet[Enrollment]


class DecidingAdmin(ScopedAdmin):
    actions: tuple[str, ...] = ("confirm_cards", "refuse_cards", "end_applications")

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return scoping.may(person(request), *DECIDERS)

    @admin.action(description=_("Confirm the card"), permissions=["decide"])
    def confirm_cards(self, request: HttpRequest, rows: Rows) -> HttpResponse | None:
        if not too_many(request, rows.count()):
            confirm_each(request, _cards_of(person(request), rows))
        return None

    @admin.action(description=_("Refuse the card, with a reason…"), permissions=["decide"])
    def refuse_cards(self, request: HttpRequest, rows: Rows) -> HttpResponse | None:
        if too_many(request, rows.count()):
            return None
        form = RefusalForm(request.POST if "apply" in request.POST else None)
        if not form.is_valid():
            return ask(
                self, request, form, title=_("Refuse the card"), button=_("Refuse the card"), rows=shown(request, rows)
            )
        by, reason, words = person(request), Card.Refusal(form.cleaned_data["reason"]), form.cleaned_data["words"]

        def refuse(pk: int) -> Text | None:
            return _decide(card_checking.refuse, card_id=pk, reason=reason, words=words, by=by)

        act_on_each(request, _cards_of(by, rows), refuse, done=_refused)
        return None

    @admin.action(description=_("End the application or the place…"), permissions=["decide"])
    def end_applications(self, request: HttpRequest, rows: Rows) -> HttpResponse | None:
        if too_many(request, rows.count()):
            return None
        form = EndForm(request.POST if "apply" in request.POST else None)
        if not form.is_valid():
            return ask(
                self, request, form, title=_("End the application"), button=_("End it"), rows=shown(request, rows)
            )
        by, words = person(request), form.cleaned_data["words"]

        def end(pk: int) -> Text | None:
            return _end(pk, by=by, words=words)

        act_on_each(request, rows.values_list("pk", flat=True).order_by("pk"), end, done=_ended)
        return None

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.act_view)
        return [path("<int:pk>/act/", view, name="enrollment_enrollment_act"), *super().get_urls()]

    def act_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The buttons of one application's page; the same actions as in the list."""
        if not self.has_decide_permission(request):
            raise PermissionDenied
        rows = self.get_queryset(request).filter(pk=pk)
        if not rows.exists():
            raise Http404
        back = HttpResponseRedirect(reverse("admin:enrollment_enrollment_change", args=[pk]))
        action = self.get_actions(request).get(request.POST.get("action", ""))
        return cast(HttpResponse | None, action and action[0](self, request, rows)) or back


def confirm_each(request: HttpRequest, card_ids: list[int], *, over_confirmed: bool = False) -> None:
    """Where rivals are not in sight, a card that somebody else has proved is left for the page of disputes."""
    by = person(request)

    def confirm(pk: int) -> Text | None:
        return _decide(card_checking.confirm, card_id=pk, by=by, over_confirmed=over_confirmed)

    act_on_each(request, card_ids, confirm, done=_confirmed)


def _decide(operation: Callable[..., Card], *, by: User, **what: Any) -> Text | None:
    try:
        operation(by=by, now=timezone.now(), **what)
    except card_checking.CannotDecide as error:
        return error.obstacle.label
    return None


def _end(pk: int, *, by: User, words: str) -> Text | None:
    try:
        ended = ending.end_by_staff(enrollment_id=pk, by=by, now=timezone.now(), words=words)
    except ending.NotYours:
        return card_checking.Obstacle.NOT_YOURS.label
    return None if ended else _("It had ended already.")


def _cards_of(user: User, rows: Rows) -> list[int]:
    """Oldest application first, so that of two claims in one go the first is looked at first."""
    ordered = rows.select_related("card", "next_card").order_by("applied_at", "pk")
    return list(dict.fromkeys((card_to_decide(row, user) or row.card).pk for row in ordered))


def shown(request: HttpRequest, rows: Rows) -> list[Enrollment]:
    """For the page that asks, each with the card that is to be decided about."""
    found = list(rows.select_related("user", "share", "card", "next_card"))
    for row in found:
        row.shown_card = card_shown(row, person(request))  # type: ignore[attr-defined]
    return found


def _confirmed(count: int) -> str:
    return ngettext("%(count)d card is confirmed.", "%(count)d cards are confirmed.", count) % {"count": count}


def _refused(count: int) -> str:
    return ngettext("%(count)d card is refused.", "%(count)d cards are refused.", count) % {"count": count}


def _ended(count: int) -> str:
    return ngettext("%(count)d has ended.", "%(count)d have ended.", count) % {"count": count}
