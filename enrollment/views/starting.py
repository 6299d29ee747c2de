"""Start a course: on to its provider, or a page that says what is missing for it."""

from __future__ import annotations

from datetime import datetime, timedelta
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import get_language
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from catalog.models import Course
from enrollment.launch import starts
from enrollment.reports.course_start import start_of
from enrollment.starting import Permit
from enrollment.views.signing_in import member_of, page_named_by, sign_in_for
from libraries import limits

# In the address of who comes from signing in, or has switched the language: both end with a form's redirect, which no
# browser follows to another site (form-action of our policy).
SIGNED_IN = "signed-in"

# A click too many is no matter; a program that begins starts all day is.
MOST_STARTS, MINUTE = 30, timedelta(minutes=1)


@never_cache
@require_GET
def start(request: HttpRequest, slug: str) -> HttpResponse:
    """Goes on at once from a button of ours beside which it says what the provider is told, or if the course was
    started before and no more is told than then; a link from elsewhere starts nothing, and shows the button. So does
    signing in."""
    page_address = f"{request.path}?{SIGNED_IN}"
    if not request.user.is_authenticated:
        return sign_in_for(page_address)
    course = get_object_or_404(Course.objects.select_related("area", "provider__tool"), slug=slug)
    now = timezone.now()
    found = start_of(member_of(request).pk, course, now=now)
    assert found is not None
    shown = found.agreed(request.GET.get("told"))
    if found.permit and shown is not None and SIGNED_IN not in request.GET and came_from_here(request):
        if not limits.allow("starts of", str(request.user.pk), limit=MOST_STARTS, per=MINUTE, now=now):
            again = {"page_address": page_address}
            return render(request, "429.html", again, status=HTTPStatus.TOO_MANY_REQUESTS)
        return redirect(_way_on(found.permit, course, shown, now))
    context = {"course": course, "start": found, "page_address": page_address}
    return render(request, "enrollment/course_start.html", context)


def _way_on(permit: Permit, course: Course, shown: str, now: datetime) -> str:
    tool = starts.tool_of(course)
    if tool is not None:
        return starts.begin(permit, tool=tool, shown=shown, language=(get_language() or "nl")[:2], now=now)
    starts.note(permit, shown=shown, now=now)
    return course.provider.start_url


def came_from_here(request: HttpRequest) -> bool:
    """By what the browser itself says, and no page can (Fetch Metadata); older browsers only name the page."""
    said = request.headers.get("Sec-Fetch-Site")
    if said is not None:
        return said == "same-origin"
    return page_named_by(request).netloc == request.get_host()
