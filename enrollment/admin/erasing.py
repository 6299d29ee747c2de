"""Erase a person's data on their request: what it does is shown first, and then nothing else is done."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from enrollment import erasing, tasks
from enrollment.admin.base import ask, tell_when_busy
from enrollment.admin.merging import MergingAdmin
from enrollment.erase_plan import Plan
from enrollment.erasing_forms import EraseForm
from enrollment.models import Enrollment, Erasure
from libraries import scoping
from libraries.scoped_admin import person


class ErasingAdmin(MergingAdmin):
    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.erase_view)
        return [path("<int:pk>/erase/", view, name="enrollment_enrollment_erase"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """With the proof of the erasure, where there was one, to be printed for the person."""
        row = self.get_object(request, object_id)
        extra: dict[str, Any] = {}
        if isinstance(row, Enrollment):
            gone = not row.user.is_active
            extra["erasure"] = Erasure.objects.filter(user_id=row.user_id).first() if gone else None
            extra["may_erase"] = not gone and scoping.may_decide_on(person(request), row.share.institution_id)
        return super().change_view(request, object_id, form_url, {**extra, **(extra_context or {})})

    @tell_when_busy
    def erase_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not self.has_decide_permission(request):
            raise PermissionDenied
        row = self.get_queryset(request).select_related("user").filter(pk=pk).first()
        if row is None:
            raise Http404
        back = reverse("admin:enrollment_enrollment_change", args=[row.pk])
        form, overtaken = EraseForm(request.POST or None), False
        try:
            plan = erasing.preview(user_id=row.user_id, by=person(request))
            if form.is_valid():
                _erase(request, row, form)
                return HttpResponseRedirect(back)
        except erasing.Overtaken as error:
            plan, overtaken = error.plan, True
        except erasing.CannotErase as error:
            messages.error(request, str(error.obstacle.label))
            return HttpResponseRedirect(back)
        return self._preview(request, row, form, plan, back=back, overtaken=overtaken)

    def _preview(self, request: HttpRequest, row: Enrollment, form: EraseForm, plan: Plan, **page: Any) -> HttpResponse:
        title, button = _("Erase this person's data"), _("Erase their data")
        return ask(self, request, form, title=title, button=button, row=row, plan=plan, template=TEMPLATE, **page)


TEMPLATE = "admin/erase.html"


def _erase(request: HttpRequest, row: Enrollment, form: EraseForm) -> None:
    erasing.ask(
        user_id=row.user_id,
        by=person(request),
        now=timezone.now(),
        reason=form.cleaned_data["reason"],
        expected=request.POST.get("expected", ""),
    )
    tasks.ring()
    tasks.ring_for_erasures()
    messages.success(request, _("The data are being erased. The proof for the person stands on this page."))
