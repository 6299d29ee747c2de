from __future__ import annotations

from typing import Any, ClassVar

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.translation import gettext_lazy as _
from django.views import View

from enrollment.admin.base import csv_file
from enrollment.priority_forms import ProgrammeForm
from enrollment.reports.courses_followed import FEWEST, courses_followed, table
from enrollment.reports.spreadsheets import to_csv
from libraries.scoped_admin import person


class CoursesFollowedView(View):
    """How each course is followed; `as_file`: as a CSV file."""

    model_admin: ClassVar[Any] = None
    as_file = False

    def get(self, request: HttpRequest) -> HttpResponse:
        if not self.model_admin.has_view_permission(request):
            raise PermissionDenied
        form = ProgrammeForm(request.GET)
        found = courses_followed(person(request), programme_id=form.programme_id) if form.is_valid() else []
        if self.as_file and form.is_valid():
            return csv_file(to_csv(table(found)), "courses.csv")
        context = {
            **self.model_admin.admin_site.each_context(request),
            "opts": self.model_admin.opts,
            "title": _("How courses are followed"),
            "form": form,
            "found": found,
            "hides": any(each.hides for each in found),
            "fewest": FEWEST,
            "query": request.GET.urlencode(),
        }
        return TemplateResponse(request, "admin/courses_followed.html", context)


def addresses(model_admin: Any) -> list[Any]:
    def ours(address: str, name: str, *, as_file: bool) -> Any:
        view = CoursesFollowedView.as_view(model_admin=model_admin, as_file=as_file)
        return path(address, model_admin.admin_site.admin_view(view), name=f"enrollment_enrollment_{name}")

    return [
        ours("courses/", "courses", as_file=False),
        ours("courses/file/", "courses_file", as_file=True),
    ]
