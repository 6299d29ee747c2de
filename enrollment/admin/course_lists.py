"""Take in a provider's list of courses in two steps: what it changes, then the change; nothing else than was shown."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from catalog import course_files
from catalog.course_files import Contents, FileRefused
from catalog.course_lists import Comparison
from catalog.provider.errors import ProviderError
from enrollment import course_importing, rotating
from enrollment.admin.base import ask, tell_when_busy
from enrollment.course_forms import CourseListForm
from enrollment.course_importing import Source
from enrollment.reports import troubles
from libraries.scoped_admin import ScopedAdmin, may, person
from libraries.secrets import find_secret

# A list of which more would have to be read is looked at in a spreadsheet.
MOST_SHOWN = 200


class CourseListAdmin(ScopedAdmin):
    change_list_template = "admin/courses.html"

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.import_view)
        return [path("import/", view, name="catalog_course_import"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        extra = {"may_import": may(request, rotating.EDITORS), **(extra_context or {})}
        return super().changelist_view(request, extra)

    @tell_when_busy
    def import_view(self, request: HttpRequest) -> HttpResponse:
        if not may(request, rotating.EDITORS):
            raise PermissionDenied
        form = CourseListForm(request.POST or None, request.FILES or None)
        outcome: dict[str, Any] = {}
        if form.is_valid() and (contents := _read(request, form)) is not None:
            comparison, done = _compared(request, form, contents)
            if done:
                messages.success(request, _("The list of courses is taken in."))
                return HttpResponseRedirect(reverse("admin:catalog_course_changelist"))
            form.show(comparison.fingerprint)
            outcome = _told(comparison, overtaken=bool(form.cleaned_data["expected"]))
        shown = outcome.get("comparison")
        button = _("Take in this list") if shown and shown.does_something else _("See what this does")
        context = {"back": reverse("admin:catalog_course_changelist"), "template": "admin/course_import.html"}
        return ask(self, request, form, title=_("Take in a list of courses"), button=button, **context, **outcome)


def _read(request: HttpRequest, form: CourseListForm) -> Contents | None:
    """What went wrong is told beside the field."""
    told = form.cleaned_data
    try:
        if told["source"] == Source.FILE:
            return course_files.read(told["file"].file)
        by, now = person(request), timezone.now()
        return course_importing.fetch(told["provider"], by=by, now=now, secret_of=find_secret)
    except FileRefused as refused:
        form.add_error("file" if told["source"] == Source.FILE else "source", refused.message)
    except course_importing.CannotImport as error:
        form.add_error("source", str(error.obstacle.label))
    except ProviderError as error:
        form.add_error("source", troubles.in_words(error.code))
    return None


def _compared(request: HttpRequest, form: CourseListForm, contents: Contents) -> tuple[Comparison, bool]:
    """As it is now, and whether it was done: only where just this was shown."""
    told, by = form.cleaned_data, person(request)
    if not told["expected"]:
        return course_importing.preview(told["provider"], contents, form.defaults(), by=by), False
    known: dict[str, Any] = {"source": Source(told["source"]), "expected": told["expected"]}
    try:
        done = course_importing.take_in(
            told["provider"].pk, contents, form.defaults(), by=by, now=timezone.now(), **known
        )
    except course_importing.Overtaken as error:
        return error.comparison, False
    return done, True


def _told(comparison: Comparison, *, overtaken: bool) -> dict[str, Any]:
    offered = course_importing.still_offered(comparison, now=timezone.now())
    gone = sorted(comparison.gone, key=lambda course: course.pk not in offered)
    return {
        "comparison": comparison,
        "overtaken": overtaken,
        "most": MOST_SHOWN,
        "new": comparison.new[:MOST_SHOWN],
        "changed": _changes(comparison),
        "gone": [(course, course.pk in offered) for course in gone[:MOST_SHOWN]],
        "rejections": list(course_importing.faults(comparison, most=MOST_SHOWN)),
        "more": max(0, len(comparison.rejected) - MOST_SHOWN),
    }


def _changes(comparison: Comparison) -> list[tuple[Any, list[str]]]:
    """Each with what changes, as the fields are called for people."""
    return [
        (course, [str(course._meta.get_field(name.removesuffix("_id")).verbose_name) for name in fields])  # type: ignore[union-attr]
        for course, fields in comparison.changed[:MOST_SHOWN]
    ]
