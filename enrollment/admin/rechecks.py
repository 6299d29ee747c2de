"""How it goes with asking again about proved cards, and what an operator does when the fuse has blown."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from enrollment import rechecking
from libraries.models import Institution, Rechecking
from libraries.rechecking import count
from libraries.scoped_admin import Role, ScopedAdmin, may, person


@admin.register(Rechecking)
class RecheckingAdmin(ScopedAdmin):
    institution_path = "institution"
    list_display = ("institution", "recheck_days", "checks_per_minute", "unanswered_since", "rechecks_stopped_at")
    list_select_related = ("institution",)
    fields = (*list_display, "asked", "doubted")
    readonly_fields = ("asked", "doubted")
    change_form_template = "admin/recheck.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Rechecking]:
        rows: QuerySet[Rechecking] = super().get_queryset(request)
        return rows.filter(institution__card_check__in=Institution.ASKED)

    @admin.display(description=_("asked about in the last two days"))
    def asked(self, row: Rechecking) -> int:
        return count(row, now=timezone.now()).asked

    @admin.display(description=_("of these no longer good, says the system"))
    def doubted(self, row: Rechecking) -> int:
        return count(row, now=timezone.now()).bad

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.go_on_view)
        return [path("<int:pk>/go-on/<slug:how>/", view, name="libraries_rechecking_go_on"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        extra = {"may_go_on": may(request, [Role.OPERATOR]), **(extra_context or {})}
        return super().change_view(request, object_id, form_url, extra)

    def go_on_view(self, request: HttpRequest, pk: int, how: str) -> HttpResponse:
        if request.method != "POST" or not may(request, [Role.OPERATOR]):
            raise PermissionDenied
        if how not in ("believe", "forget") or self.get_object(request, str(pk)) is None:
            raise Http404
        if rechecking.go_on(system_id=pk, believe=how == "believe", by=person(request), now=timezone.now()):
            messages.success(request, _("Proved cards are asked about again."))
        else:
            messages.warning(request, _("It had not stopped."))
        return HttpResponseRedirect(reverse("admin:libraries_rechecking_change", args=[pk]))
