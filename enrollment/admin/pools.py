from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from enrollment import cap, tasks
from enrollment.admin.base import ask
from enrollment.admin_forms import CapForm
from enrollment.models import CapChange, SeatPool, Share
from enrollment.reports import workload
from libraries import scoping
from libraries.scoped_admin import Role, ScopedAdmin, ScopedRelatedFilter, person


@admin.register(SeatPool)
class PoolAdmin(ScopedAdmin):
    """The figures are for everybody, as on the front page; only a coordinator changes them, through the ledger."""

    institution_path = ""
    list_display = ("programme", "limit", "taken", "free", "planned_cap")
    list_select_related = ("programme",)
    fields = ("programme",)
    change_form_template = "admin/pool.html"

    @admin.display(description=_("number of places"))
    def limit(self, pool: SeatPool) -> int:
        return pool.limit

    @admin.display(description=_("free"))
    def free(self, pool: SeatPool) -> int:
        return pool.free

    def has_change_cap_permission(self, request: HttpRequest) -> bool:
        return scoping.may(person(request), Role.COORDINATOR)

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.cap_view)
        return [path("<int:pk>/cap/", view, name="enrollment_seatpool_cap"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        pool = self.get_object(request, object_id)
        extra = _facts(request, pool) if isinstance(pool, SeatPool) else {}
        extra["may_change_cap"] = self.has_change_cap_permission(request)
        return super().change_view(request, object_id, form_url, {**extra, **(extra_context or {})})

    def cap_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not self.has_change_cap_permission(request):
            raise PermissionDenied
        pool = self.get_object(request, str(pk))
        if not isinstance(pool, SeatPool):
            raise Http404
        form = CapForm(request.POST or None, initial={"cap": pool.limit})
        if form.is_valid() and _change_cap(request, pool, form):
            return HttpResponseRedirect(reverse("admin:enrollment_seatpool_change", args=[pk]))
        title, button = _("Change the number of places"), _("Change it and give out the places")
        return ask(self, request, form, title=title, button=button, template="admin/cap.html", **_facts(request, pool))


def _change_cap(request: HttpRequest, pool: SeatPool, form: CapForm) -> bool:
    number, reason = form.cleaned_data["cap"], form.cleaned_data["reason"]
    try:
        given = cap.change(pool_id=pool.pk, cap=number, reason=reason, by=person(request), now=timezone.now())
    except cap.CannotChange as error:
        form.add_error("reason" if error.obstacle == cap.Obstacle.NO_REASON else "cap", error.obstacle.label)
        return False
    tasks.ring()
    text = ngettext(
        "The number of places is changed: %(count)d person in the queue got a place.",
        "The number of places is changed: %(count)d people in the queue got a place.",
        len(given),
    )
    messages.success(request, text % {"count": len(given)})
    return True


def _facts(request: HttpRequest, pool: SeatPool) -> dict[str, Any]:
    every = {row.pool.pk: row for row in workload.programmes(person(request))}
    ledger = CapChange.objects.filter(pool=pool).select_related("by")
    figures = every.get(pool.pk) or workload.ProgrammeFigures(pool, workload.of_pool(pool), [])
    return {"pool": pool, "figures": figures, "ledger": ledger}


@admin.register(Share)
class ShareAdmin(ScopedAdmin):
    institution_path = "institution"
    list_display = ("institution", "programme", "floor", "ceiling", "taken")
    list_filter = (("pool__programme", ScopedRelatedFilter), ("institution", ScopedRelatedFilter))
    list_select_related = ("institution", "pool__programme")
    fields = ("institution", "programme", "floor", "ceiling", "taken")
    readonly_fields = ("programme",)
    ordering = ("institution__name", "pool_id")

    @admin.display(description=_("programme"), ordering="pool__programme__name")
    def programme(self, share: Share) -> str:
        return share.pool.programme.name
