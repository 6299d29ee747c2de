"""The rotation of a programme: the year ahead, and its changes in two steps, nothing else than what was shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.models import Listing, Programme
from enrollment import rotating, tasks
from enrollment.admin.base import Text, ask, tell_when_busy
from enrollment.reports.rotation import year_of
from enrollment.rotation_forms import LeavesForm, ModuleForm, PlanForm, ReplaceForm, WithdrawForm
from libraries.scoped_admin import CENTRAL, ScopedAdmin, may, person


class RotationAdmin(ScopedAdmin):
    """Of programmes; for those whose view is not limited to an institution."""

    def get_urls(self) -> list[Any]:
        def ours(address: str, view: Callable[..., HttpResponse], name: str) -> Any:
            return path(f"<int:pk>/{address}", self.admin_site.admin_view(view), name=f"catalog_programme_{name}")

        return [
            ours("rotation/", self.rotation_view, "rotation"),
            ours("rotation/replace/", self.replace_view, "replace"),
            ours("rotation/module/", self.module_view, "module"),
            ours("rotation/<int:listing>/end/", self.leaves_view, "leaves"),
            ours("rotation/<int:listing>/withdraw/", self.withdraw_view, "withdraw"),
            *super().get_urls(),
        ]

    def get_list_display(self, request: HttpRequest) -> Any:
        shown = super().get_list_display(request)
        return (*shown, "on_offer") if may(request, CENTRAL) else shown

    @admin.display(description=_("Courses on offer"))
    def on_offer(self, row: Programme) -> str:
        return format_html('<a href="{}">{}</a>', _page_of(row), _("The year ahead"))

    @tell_when_busy
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        extra = {"sees_rotation": may(request, CENTRAL), **(extra_context or {})}
        return super().change_view(request, object_id, form_url, extra)

    def rotation_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        programme = self._programme(request, pk, plans=False)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": gettext("Courses on offer in %(name)s") % {"name": programme.name},
            "programme": programme,
            "year": year_of(programme, now=timezone.now()),
            "may_plan": may(request, rotating.EDITORS),
        }
        return TemplateResponse(request, "admin/rotation.html", context)

    @tell_when_busy
    def replace_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        programme = self._programme(request, pk)
        form = ReplaceForm(request.POST or None, programme=programme, now=timezone.now())
        return _in_two_steps(self, request, form, title=_("Replace titles"))

    @tell_when_busy
    def module_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        programme = self._programme(request, pk)
        form = ModuleForm(request.POST or None, programme=programme, now=timezone.now())
        return _in_two_steps(self, request, form, title=_("Add the module of a month"))

    @tell_when_busy
    def leaves_view(self, request: HttpRequest, pk: int, listing: int) -> HttpResponse:
        programme = self._programme(request, pk)
        row = _listing(programme, listing)
        form = LeavesForm(request.POST or None, programme=programme, now=timezone.now(), listing=row)
        return _in_two_steps(self, request, form, title=_("Change when a title leaves"), listing=row)

    @tell_when_busy
    def withdraw_view(self, request: HttpRequest, pk: int, listing: int) -> HttpResponse:
        programme = self._programme(request, pk)
        row = _listing(programme, listing)
        form = WithdrawForm(request.POST or None, programme=programme, now=timezone.now(), listing=row)
        return _in_two_steps(self, request, form, title=_("Withdraw a planned title"), listing=row)

    def _programme(self, request: HttpRequest, pk: int, *, plans: bool = True) -> Programme:
        if not may(request, rotating.EDITORS if plans else CENTRAL):
            raise PermissionDenied
        programme = self.get_object(request, str(pk))
        if not isinstance(programme, Programme):
            raise Http404
        return programme


def _listing(programme: Programme, pk: int) -> Listing:
    row = programme.listings.select_related("course").filter(pk=pk).first()
    if row is None:
        raise Http404
    return row


def _in_two_steps(
    page: ScopedAdmin, request: HttpRequest, form: PlanForm, *, title: Text, listing: Listing | None = None
) -> HttpResponse:
    """A form, then a preview with everything hidden in it, then the change; back at any time before that."""
    preview, overtaken = None, False
    if form.is_valid() and "back" not in request.POST:
        known: dict[str, Any] = {"programme_id": form.programme.pk, "plan": form.plan()}
        known |= {"by": person(request), "now": form.now}
        try:
            if "expected" in request.POST:
                told = {"reason": form.cleaned_data["reason"], "expected": request.POST["expected"]}
                rotating.carry_out(**known, **told)
                return _done(request, form.programme)
            preview = rotating.preview(**known)
        except rotating.CannotPlan as error:
            _tell(form, error.words)
        except rotating.Overtaken as error:
            preview, overtaken = error.preview, True
        if preview and preview.words:
            _tell(form, preview.words)
            preview = None
    context: dict[str, Any] = {"preview": preview, "overtaken": overtaken, "listing": listing}
    context |= {"programme": form.programme, "back": _page_of(form.programme)}
    context["template"] = "admin/rotation_preview.html" if preview else "admin/rotation_form.html"
    return ask(page, request, form, title=title, button=_("See what this does"), **context)


def _tell(form: PlanForm, words: Sequence[str]) -> None:
    for each in words:
        form.add_error(None, each)


def _done(request: HttpRequest, programme: Programme) -> HttpResponse:
    messages.success(request, _("The courses on offer are planned as you saw."))
    tasks.ring()
    return HttpResponseRedirect(_page_of(programme))


def _page_of(programme: Programme) -> str:
    return reverse("admin:catalog_programme_rotation", args=[programme.pk])
