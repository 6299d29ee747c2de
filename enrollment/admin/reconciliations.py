"""Comparisons with providers: what differs, and what people decide about it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from catalog import dates
from catalog.models import Provider
from enrollment import reconciling, tasks
from enrollment.admin.base import ask, tell_when_busy
from enrollment.admin.repairs import DECISIONS, decide, trust
from enrollment.models import Difference, Reconciliation
from enrollment.reports import differences
from enrollment.templatetags.shelf import number
from libraries.scoped_admin import CENTRAL, Role, ScopedAdmin, ScopedRelatedFilter, may, person

DECIDERS = (Role.COORDINATOR, Role.OPERATOR)


@admin.register(Reconciliation)
class ReconciliationAdmin(ScopedAdmin):
    """For who follows the providers."""

    institution_path = ""
    viewers = CENTRAL
    list_display = ("asked", "provider", "how_it_stands", "to_decide", "on_the_list", "of_ours")
    list_filter = (("provider", ScopedRelatedFilter),)
    list_select_related = ("provider",)
    ordering = ("-asked_at", "-pk")
    change_list_template = "admin/reconciliations.html"

    @admin.display(description=gettext_lazy("asked"), ordering="asked_at")
    def asked(self, row: Reconciliation) -> str:
        return dates.written(timezone.localtime(row.asked_at), "j F Y, H:i")

    @admin.display(description=gettext_lazy("how it stands"))
    def how_it_stands(self, row: Reconciliation) -> str:
        return str(differences.standing(row))

    @admin.display(description=gettext_lazy("still to be decided"))
    def to_decide(self, row: Reconciliation) -> str | None:
        return number(vars(row)["to_decide"]) if row.finished_at else None

    @admin.display(description=gettext_lazy("accounts on the list"), ordering="listed")
    def on_the_list(self, row: Reconciliation) -> str | None:
        return number(row.listed) if row.finished_at else None

    @admin.display(description=gettext_lazy("of which ours"), ordering="ours")
    def of_ours(self, row: Reconciliation) -> str | None:
        return number(row.ours) if row.finished_at else None

    def get_queryset(self, request: HttpRequest) -> QuerySet[Reconciliation]:
        return differences.with_open_counts(super().get_queryset(request))

    def get_urls(self) -> list[Any]:
        compare, decide = self.admin_site.admin_view(self.compare_view), self.admin_site.admin_view(self.decide_view)
        return [
            path("compare/<int:provider_id>/", compare, name="enrollment_reconciliation_compare"),
            path("<int:pk>/decide/<slug:what>/", decide, name="enrollment_reconciliation_decide"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        extra = {"providers": Provider.objects.all() if may(request, DECIDERS) else []}
        return super().changelist_view(request, {**extra, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        run = self._run(request, object_id)
        asked = {name: request.GET.get(name, "") for name in ("kind", "fate")}
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Comparison with %(provider)s") % {"provider": run.provider.name},
            "comparison": differences.comparison(run),
            "standing": differences.standing(run),
            "why": differences.trouble(run),
            "page": differences.page_of(run, **asked, number=request.GET.get("page", "1")),
            "asked": asked,
            "kinds": Difference.Kind.choices,
            "fates": differences.Fate.choices,
            "may_decide": may(request, DECIDERS),
        }
        return TemplateResponse(request, "admin/reconciliation.html", context)

    def compare_view(self, request: HttpRequest, provider_id: int) -> HttpResponse:
        provider = Provider.objects.filter(pk=provider_id).first() if _decides(request) else None
        if provider is None:
            raise Http404
        run = reconciling.ask(provider_id=provider.pk, by=person(request), now=timezone.now())
        tasks.ring_for_comparisons()
        done, already = _("The lists are being compared."), _("They are being compared already.")
        messages.success(request, done) if run else messages.info(request, already)
        return HttpResponseRedirect(reverse("admin:enrollment_reconciliation_changelist"))

    @tell_when_busy
    def decide_view(self, request: HttpRequest, pk: int, what: str) -> HttpResponse:
        run = self._run(request, str(pk)) if _decides(request) else None
        if run is None or what not in (*DECISIONS, "trust"):
            raise Http404
        kind, one = request.POST.get("kind", ""), request.POST.get("difference", "")
        if what == "trust":
            trust(request, run)
        elif one.isdecimal() and len(one) < 19:
            decide(request, run, what, ids=[int(one)])
        elif kind not in Difference.Kind.values:
            raise Http404
        elif "sure" not in request.POST:
            return self._ask(request, run, what, kind)
        else:
            decide(request, run, what, kind=kind)
        return HttpResponseRedirect(reverse("admin:enrollment_reconciliation_change", args=[pk]))

    def _ask(self, request: HttpRequest, run: Reconciliation, what: str, kind: str) -> HttpResponse:
        """Of all of a kind: first what it would do."""
        pile = next(each for each in differences.comparison(run).piles if each.kind == kind)
        title, button = {
            "repair": (_("Repair all of a kind"), _("Yes, repair them")),
            "leave": (_("Leave all of a kind"), _("Yes, leave them as they are")),
        }[what]
        page = {"run": run, "pile": pile, "what": what, "template": "admin/repair.html"}
        return ask(self, request, forms.Form(), title=title, button=button, **page)

    def _run(self, request: HttpRequest, object_id: str) -> Reconciliation:
        rows: QuerySet[Reconciliation] = self.get_queryset(request).select_related("provider", "asked_by", "trusted_by")
        if not self.has_view_permission(request):
            raise PermissionDenied
        run = rows.filter(pk=object_id).first() if object_id.isdecimal() and len(object_id) < 19 else None
        if run is None:
            raise Http404
        return run


def _decides(request: HttpRequest) -> bool:
    """A link, or a reload, decides nothing."""
    if not may(request, DECIDERS):
        raise PermissionDenied
    return request.method == "POST"
