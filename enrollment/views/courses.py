from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.text import Truncator
from django.utils.translation import gettext as _

from catalog import cover_pictures
from catalog.models import Course
from enrollment.reports import finding, news, offer
from enrollment.reports.course_start import start_of
from enrollment.reports.my_courses import run_of


def courses(request: HttpRequest) -> HttpResponse:
    found = finding.find(finding.wish_of(request.GET.dict()), day=timezone.localdate())
    return render(request, "enrollment/courses.html", {"finding": found, "wish": found.wish})


def course(request: HttpRequest, slug: str) -> HttpResponse:
    """Its address stays, also when it is not on offer any more: it may come back."""
    day = timezone.localdate()
    found = get_object_or_404(Course.objects.select_related("area", "provider__tool"), slug=slug)
    own = next(iter(offer.on_offer(day, among=[found.pk])), None)
    context = {
        "course": found,
        "offer": own,
        "coming": None if own else offer.coming(found, day),
        "level": offer.level_in_words(found),
        "summary": _summary(found),
        "alike": finding.alike(found, day=day),
        "start": start_of(request.user.pk, found, now=timezone.now()),
        "mine": run_of(request.user.pk, found),
    }
    return render(request, "enrollment/course.html", context)


def cover(request: HttpRequest, slug: str) -> HttpResponse:
    found = get_object_or_404(Course.objects.select_related("area"), slug=slug)
    return HttpResponse(cover_pictures.svg(code=found.code, area=found.area.slug), content_type="image/svg+xml")


def picture(request: HttpRequest, slug: str) -> HttpResponse:
    found = get_object_or_404(Course.objects.select_related("area"), slug=slug)
    return HttpResponse(cover_pictures.png(code=found.code, area=found.area.slug), content_type="image/png")


def feed(request: HttpRequest) -> HttpResponse:
    address = settings.SITE_URL + request.path
    made = news.atom(news.news(timezone.localdate()), address=address)
    return HttpResponse(made, content_type="application/atom+xml; charset=utf-8")


def calendar(request: HttpRequest) -> HttpResponse:
    made = news.calendar(news.news(timezone.localdate()))
    return HttpResponse(made, content_type="text/calendar; charset=utf-8")


def _summary(found: Course) -> str:
    """Of one line, for those who have not opened the page yet."""
    told = Truncator(" ".join(found.description.split())).chars(160)
    return told or _("%(title)s: follow this course online, for free, with your library card.") % {"title": found.title}
