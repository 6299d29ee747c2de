"""Ask the library system about one card of an application, step by step; it decides nothing."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from enrollment import system_checks
from enrollment.admin.erasing import ErasingAdmin
from enrollment.models import Enrollment
from enrollment.reports import system_steps
from enrollment.reports.application import card_to_decide
from libraries.models import Card
from libraries.scoped_admin import person


class LookingUpAdmin(ErasingAdmin):
    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.look_up_view)
        return [path("<int:pk>/look-up/", view, name="enrollment_enrollment_look_up"), *super().get_urls()]

    def look_up_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Which card is meant is posted: the address names the application alone."""
        if not self.has_decide_permission(request):
            raise PermissionDenied
        back = HttpResponseRedirect(reverse("admin:enrollment_enrollment_change", args=[pk]))
        related = ("share", "card__library", "card__institution", "next_card__library", "next_card__institution")
        row = self.get_queryset(request).select_related(*related).filter(pk=pk).first()
        if row is None:
            raise Http404
        if request.method != "POST":
            return back
        card = _chosen(request, row)
        try:
            walk = system_checks.look_up(enrollment=row, card=card, by=person(request), now=timezone.now())
        except system_checks.Refused as error:
            messages.error(request, error.obstacle.label)
            return back
        page = {
            **self.admin_site.each_context(request),
            **system_steps.told(walk),
            "opts": self.opts,
            "title": _("What the library system says of this card"),
            "row": row,
            "card": card,
            "may_decide": card_to_decide(row, person(request)) == card,
        }
        return TemplateResponse(request, "admin/look_up.html", page)


def _chosen(request: HttpRequest, row: Enrollment) -> Card:
    by, chosen = person(request), request.POST.get("card", "")
    for card in (row.card, row.next_card):
        if card is not None and str(card.pk) == chosen and system_checks.may_look_up(by, row, card):
            return card
    raise Http404
