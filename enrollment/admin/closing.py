"""End a programme in two steps: what it will do, then do it; nothing else than what was shown. And take it back."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from enrollment import closing, tasks
from enrollment.admin.base import ask, tell_when_busy
from enrollment.cap_forms import ReasonForm
from enrollment.closing_forms import ClosingForm
from enrollment.models import SeatPool
from libraries import scoping
from libraries.scoped_admin import Role, ScopedAdmin, person


class ClosingAdmin(ScopedAdmin):
    def has_change_cap_permission(self, request: HttpRequest) -> bool:
        return scoping.may(person(request), Role.COORDINATOR)

    def get_urls(self) -> list[Any]:
        close, reopen = (self.admin_site.admin_view(view) for view in (self.close_view, self.reopen_view))
        return [
            path("<int:pk>/close/", close, name="enrollment_seatpool_close"),
            path("<int:pk>/reopen/", reopen, name="enrollment_seatpool_reopen"),
            *super().get_urls(),
        ]

    @tell_when_busy
    def close_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """A form, then a preview with everything hidden in it, then the end; back at any time before that."""
        pool, preview, overtaken = self._pool(request, pk), None, False
        form = ClosingForm(request.POST or None, initial=ClosingForm.as_it_is(pool.programme))
        if form.is_valid() and "back" not in request.POST:
            try:
                if "expected" in request.POST:
                    return _closed(request, pool, form)
                preview = closing.preview(pool_id=pk, plan=form.plan(), by=person(request), now=timezone.now())
            except closing.CannotClose as error:
                form.add_error(form.field_of(error.obstacle), str(error.obstacle.label))
            except closing.Overtaken as error:
                preview, overtaken = error.preview, True
        context: dict[str, Any] = {"pool": pool, "preview": preview, "overtaken": overtaken, "back": _page_of(pool)}
        context["already"] = pool.programme.is_closed_on(timezone.localdate())
        context["template"] = "admin/close_preview.html" if preview else "admin/close.html"
        return ask(self, request, form, title=_("End this programme"), button=_("See what this does"), **context)

    @tell_when_busy
    def reopen_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        pool = self._pool(request, pk)
        form = ReasonForm(request.POST or None)
        if form.is_valid():
            try:
                told = form.cleaned_data["reason"]
                closing.withdraw(pool_id=pk, reason=told, by=person(request), now=timezone.now())
            except closing.CannotClose as error:
                form.add_error(None, str(error.obstacle.label))
            else:
                messages.success(request, _("The programme goes on. Everybody who has a place or waits gets a letter."))
                tasks.ring()
                return HttpResponseRedirect(_page_of(pool))
        context: dict[str, Any] = {"pool": pool, "back": _page_of(pool), "template": "admin/reopen.html"}
        title = _("Withdraw the end of this programme")
        return ask(self, request, form, title=title, button=_("Let it go on"), **context)

    def _pool(self, request: HttpRequest, pk: int) -> SeatPool:
        pool = self.get_object(request, str(pk)) if self.has_change_cap_permission(request) else None
        if pool is None:
            raise PermissionDenied
        assert isinstance(pool, SeatPool)
        return pool


def _closed(request: HttpRequest, pool: SeatPool, form: ClosingForm) -> HttpResponse:
    done = closing.close(
        pool_id=pool.pk,
        plan=form.plan(),
        reason=form.cleaned_data["reason"],
        by=person(request),
        now=timezone.now(),
        expected=request.POST["expected"],
    )
    at_once = _("The programme has ended. Everybody who has a place or waits gets a letter.")
    planned = _("The end of the programme is planned. Everybody who has a place or waits gets a letter.")
    messages.success(request, at_once if done.at_once else planned)
    tasks.ring()
    return HttpResponseRedirect(_page_of(pool))


def _page_of(pool: SeatPool) -> str:
    return reverse("admin:enrollment_seatpool_change", args=[pool.pk])
