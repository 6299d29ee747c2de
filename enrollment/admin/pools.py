from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from enrollment import cap
from enrollment.admin.base import ask, tell_when_busy
from enrollment.admin.changing import change_in_two_steps, withdraw
from enrollment.admin.closing import ClosingAdmin
from enrollment.cap_forms import CapForm, LetInForm, OpenPoolForm, SharesForm
from enrollment.cap_plan import before
from enrollment.models import SeatPool
from enrollment.reports import workload
from enrollment.reports.closings import closing_of
from enrollment.reports.ledger import ledger_of
from libraries.scoped_admin import person


@admin.register(SeatPool)
class PoolAdmin(ClosingAdmin):
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

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_change_cap_permission(request)

    def get_urls(self) -> list[Any]:
        def ours(address: str, view: Callable[..., HttpResponse], name: str) -> Any:
            return path(address, self.admin_site.admin_view(view), name=f"enrollment_seatpool_{name}")

        return [
            ours("<int:pk>/cap/", self.cap_view, "cap"),
            ours("<int:pk>/shares/", self.shares_view, "shares"),
            ours("<int:pk>/withdraw/<int:change>/", self.withdraw_view, "withdraw"),
            ours("<int:pk>/institutions/", self.let_in_view, "let_in"),
            *super().get_urls(),
        ]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = OpenPoolForm(request.POST or None)
        if form.is_valid() and (pool := _open_pool(request, form)):
            return HttpResponseRedirect(reverse("admin:enrollment_seatpool_change", args=[pool.pk]))
        title, button = _("Give a programme its places"), _("Open these places")
        back = reverse("admin:enrollment_seatpool_changelist")
        return ask(self, request, form, title=title, button=button, back=back, template="admin/pool_form.html")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        pool = self.get_object(request, object_id)
        extra = _facts(request, pool) if isinstance(pool, SeatPool) else {}
        extra["may_change_cap"] = self.has_change_cap_permission(request)
        return super().change_view(request, object_id, form_url, {**extra, **(extra_context or {})})

    def let_in_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        form = LetInForm(request.POST or None, pool=self._pool(request, pk))
        back = reverse("admin:enrollment_seatpool_change", args=[pk])
        if form.is_valid():
            chosen = [institution.pk for institution in form.cleaned_data["institutions"]]
            cap.let_in(pool_id=pk, institution_ids=chosen, by=person(request), now=timezone.now())
            messages.success(request, _("Members of these institutions can apply now."))
            return HttpResponseRedirect(back)
        title, button = _("Let more institutions take part"), _("Let them take part")
        return ask(self, request, form, title=title, button=button, back=back, template="admin/pool_form.html")

    @tell_when_busy
    def cap_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        pool = self._pool(request, pk)
        asked = request.GET.get("cap", "")
        form = CapForm(request.POST or None, initial={"cap": asked if asked.isdigit() else pool.limit})
        title = _("Change the number of places")
        return change_in_two_steps(self, request, pool, form, title=title, template="admin/cap.html")

    @tell_when_busy
    def shares_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        pool = self._pool(request, pk)
        form = SharesForm(request.POST or None, before=before(pool))
        return change_in_two_steps(
            self, request, pool, form, title=_("Share out the places"), template="admin/shares.html"
        )

    def withdraw_view(self, request: HttpRequest, pk: int, change: int) -> HttpResponse:
        return withdraw(request, self._pool(request, pk), change)


def _open_pool(request: HttpRequest, form: OpenPoolForm) -> SeatPool | None:
    told = form.cleaned_data
    try:
        return cap.open_pool(
            programme_id=told["programme"].pk,
            cap=told["cap"],
            institution_ids=[institution.pk for institution in told["institutions"]],
            reason=told["reason"],
            by=person(request),
            now=timezone.now(),
        )
    except cap.CannotChange as error:
        form.add_error(None, error.obstacle.label)
        return None


def _facts(request: HttpRequest, pool: SeatPool) -> dict[str, Any]:
    every = {row.pool.pk: row for row in workload.programmes(person(request))}
    figures = every.get(pool.pk) or workload.ProgrammeFigures(pool, workload.of_pool(pool), [])
    return {"pool": pool, "figures": figures, "ledger": ledger_of(pool), "closing": closing_of(pool)}
