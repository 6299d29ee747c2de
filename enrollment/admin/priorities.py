from __future__ import annotations

from typing import Any, ClassVar

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views import View

from enrollment.admin.base import csv_file
from enrollment.priority_forms import PeriodForm
from enrollment.reports.priorities import priorities, table, totals
from enrollment.reports.spreadsheets import to_csv
from libraries.scoped_admin import person


class PrioritiesView(View):
    """Who has had priority in a period; `as_file`: as a CSV file. What cannot be read as a period is told beside it."""

    model_admin: ClassVar[Any] = None
    as_file = False

    def get(self, request: HttpRequest) -> HttpResponse:
        if not self.model_admin.has_view_permission(request):
            raise PermissionDenied
        form = PeriodForm(request.GET if "since" in request.GET else PeriodForm.usual(timezone.localdate()))
        valid = form.is_valid()
        found = priorities(person(request), form.period, programme_id=form.programme_id) if valid else []
        if self.as_file and valid:
            return csv_file(to_csv(table(found)), f"priority-{form.period.since}-{form.period.until}.csv")
        context = {
            **self.model_admin.admin_site.each_context(request),
            "opts": self.model_admin.opts,
            "title": _("Priority in the queue"),
            "form": form,
            "found": found,
            "totals": totals(found),
            "query": request.GET.urlencode(),
        }
        return TemplateResponse(request, "admin/priorities.html", context)


def addresses(model_admin: Any) -> list[Any]:
    def ours(address: str, name: str, *, as_file: bool) -> Any:
        view = PrioritiesView.as_view(model_admin=model_admin, as_file=as_file)
        return path(address, model_admin.admin_site.admin_view(view), name=f"enrollment_enrollment_{name}")

    return [
        ours("priorities/", "priorities", as_file=False),
        ours("priorities/file/", "priorities_file", as_file=True),
    ]
