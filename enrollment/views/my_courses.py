"""My courses: go on, save for later, choose a day for a reminder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from catalog import dates
from catalog.models import Course
from enrollment import following
from enrollment.forms import ReminderForm
from enrollment.models import CourseRun
from enrollment.reports import my_courses as report
from enrollment.reports.my_courses import Followed
from enrollment.views.signing_in import member_of, member_required


@dataclass(frozen=True)
class Item:
    mine: Followed
    form: ReminderForm


@member_required
def my_courses(request: HttpRequest) -> HttpResponse:
    return _page(request)


@require_POST
@member_required
def save(request: HttpRequest, slug: str) -> HttpResponse:
    course = get_object_or_404(Course, slug=slug)
    try:
        following.save(user_id=member_of(request).pk, course=course, now=timezone.now())
    except following.CannotFollow as error:
        messages.warning(request, error.obstacle.label)
    else:
        messages.success(request, _("“%(course)s” stands under “My courses”.") % {"course": course.title})
    return redirect("course", slug)


@require_POST
@member_required
def unsave(request: HttpRequest, slug: str) -> HttpResponse:
    course = get_object_or_404(Course, slug=slug)
    if following.unsave(user_id=member_of(request).pk, course=course):
        messages.success(request, _("You took “%(course)s” off your list.") % {"course": course.title})
    return redirect("my_courses") if "here" in request.POST else redirect("course", slug)


@require_POST
@member_required
def remind(request: HttpRequest, slug: str) -> HttpResponse:
    """A course that is none of theirs is not there."""
    runs = CourseRun.objects.select_related("course")
    run = get_object_or_404(runs, user=member_of(request), course__slug=slug)
    days = following.choices(timezone.localdate())
    form = ReminderForm(request.POST, run_id=run.pk, days=days)
    off = "off" in request.POST
    if not off and not form.is_valid():
        return _page(request, form, run)
    day = None if off else form.cleaned_data["day"]
    try:
        following.remind(user_id=run.user_id, course=run.course, on=day, now=timezone.now())
    except following.CannotFollow as error:
        if error.obstacle == following.Obstacle.WRONG_DAY:
            form.add_obstacle(error.obstacle)
            return _page(request, form, run)
        messages.warning(request, error.obstacle.label)
        return redirect("my_courses")
    told = {"course": run.course.title, "day": dates.written(day, "j F Y") if day else ""}
    words = _("On %(day)s we write to you about “%(course)s”.") if day else _("We do not write about “%(course)s”.")
    messages.success(request, words % told)
    return redirect("my_courses")


def _page(request: HttpRequest, wrong: ReminderForm | None = None, run: CourseRun | None = None) -> HttpResponse:
    """With a form that is to be corrected, and the course it belongs to."""
    language, now = (get_language() or "nl")[:2], timezone.now()
    found = report.my_courses(member_of(request), language=language, now=now)
    days = following.choices(timezone.localdate(now))

    def items(followed: Iterable[Followed]) -> list[Item]:
        forms = {run.pk: wrong} if run and wrong else {}
        return [Item(each, forms.get(each.run.pk) or ReminderForm(run_id=each.run.pk, days=days)) for each in followed]

    context = {
        "found": found,
        "go_on": next(iter(items([found.go_on] if found.go_on else [])), None),
        "started": items(found.started),
        "saved": items(found.saved),
        "wrong": wrong,
        "page_address": reverse("my_courses"),
    }
    status = HTTPStatus.UNPROCESSABLE_ENTITY if wrong else HTTPStatus.OK
    return render(request, "enrollment/my_courses.html", context, status=status)
