from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone

from catalog.models import Course
from enrollment.models import Enrollment
from enrollment.reports import finding, offer
from enrollment.reports.offer import Offer


def courses(request: HttpRequest) -> HttpResponse:
    found = finding.find(finding.wish_of(request.GET.dict()), day=timezone.localdate())
    return render(request, "enrollment/courses.html", {"finding": found, "wish": found.wish})


def course(request: HttpRequest, slug: str) -> HttpResponse:
    """Its address stays, also when it is not on offer any more: it may come back."""
    day = timezone.localdate()
    found = get_object_or_404(Course.objects.select_related("area", "provider"), slug=slug)
    own = next(iter(offer.on_offer(day, among=[found.pk])), None)
    context = {
        "course": found,
        "offer": own,
        "alike": finding.alike(found, day=day),
        "enrollment": _enrollment(request, own),
    }
    return render(request, "enrollment/course.html", context)


def _enrollment(request: HttpRequest, own: Offer | None) -> Enrollment | None:
    """The visitor's own claim on a place with which this course can be followed."""
    if own is None or not request.user.is_authenticated:
        return None
    mine = Enrollment.objects.open().filter(user=request.user, pool__programme__in=own.programmes)
    return mine.order_by("-seated_at", "pk").first()
