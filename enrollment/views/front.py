from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from enrollment.reports import offer, programmes


def front(request: HttpRequest) -> HttpResponse:
    today = timezone.localdate()
    opened = programmes.open_programmes(today)
    if not opened:
        return _closed(request)
    offers = offer.on_offer(today)
    institutions = programmes.taking_part([each.programme.pk for each in opened])
    context = {
        "leading": opened[0],
        "others": opened[1:],
        "offers": offers,
        "shelf_areas": [each.course.area.slug for each in offers],
        "areas": offer.areas_of(offers),
        "few": offer.one_of_each_area(offers, at_most=4),
        "module": offer.module_of_the_month(offers),
        "institutions": institutions,
        "library_count": sum(len(each.libraries.all()) for each in institutions),
    }
    return render(request, "enrollment/front.html", context)


def _closed(request: HttpRequest) -> HttpResponse:
    today = timezone.localdate()
    context = {"upcoming": programmes.next_to_open(today), "closed": programmes.last_closed(today)}
    return render(request, "enrollment/front_closed.html", context)
