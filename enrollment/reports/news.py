"""The month's module and new titles, for those who follow them from elsewhere: as Atom and as a calendar."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta

from django.conf import settings
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.feedgenerator import Atom1Feed
from django.utils.html import escape
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from icalendar import Calendar, Event

from catalog.models import Listing
from enrollment.reports import offer
from enrollment.reports.offer import NEW_FOR, Offer

MOST = 100
# XML 1.0, 2.2: what may not stand in a document at all.
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def news(day: date) -> list[Offer]:
    """The newest first. With two queries."""
    listings = Listing.objects.on_offer(day).filter(Q(role=Listing.Role.MODULE) | Q(unbroken_from__gt=day - NEW_FOR))
    ids = list(listings.order_by("-offered_from", "-pk").values_list("course_id", flat=True)[:MOST])
    found = [each for each in offer.on_offer(day, among=ids) if each.is_module or each.is_new]
    return sorted(found, key=lambda each: each.news_since, reverse=True)


def atom(offers: Iterable[Offer], *, address: str) -> bytes:
    """RFC 4287, in the language that is active. A title that comes back is an entry of its own."""
    feed = Atom1Feed(
        title=_("New courses – Leerkaart"),
        link=settings.SITE_URL + reverse("courses"),
        description=_("The module of the month, and titles that are new."),
        language=get_language(),
        author_name="Leerkaart",
        feed_url=address,
    )
    for each in offers:
        link = address_of(each)
        since = _midnight(each.news_since)
        feed.add_item(
            title=_text(_headline(each)),
            link=link,
            description=escape(_text(_summary(each))),  # it is told to be HTML
            unique_id=f"{link}#{each.news_since}",
            pubdate=since,
            updateddate=since,
            categories=[_text(each.course.area.name)],
        )
    return str(feed.writeString("utf-8")).encode()


def calendar(offers: Iterable[Offer]) -> bytes:
    """RFC 5545, in the language that is active: a module for as long as it lasts, a new title on its first day."""
    made = Calendar()
    made.add("prodid", "-//Leerkaart//courses//EN")
    made.add("version", "2.0")
    made.add("x-wr-calname", _("New courses – Leerkaart"))
    for each in offers:
        made.add_component(_event(each))
    return bytes(made.to_ical())


def _event(each: Offer) -> Event:
    event, since = Event(), each.news_since
    until = each.module.offered_until if each.module else None
    event.add("uid", f"course-{each.course.pk}-{since}-{get_language()}@leerkaart")
    event.add("dtstamp", _midnight(since))
    event.add("dtstart", since)
    event.add("dtend", until or since + timedelta(days=1))  # the first day it is over
    event.add("summary", _text(_headline(each)))
    event.add("description", _text(_summary(each)))
    event.add("url", address_of(each))
    event.add("transp", "TRANSPARENT")  # nobody is busy because of it
    return event


def address_of(each: Offer) -> str:
    return settings.SITE_URL + reverse("course", args=[each.course.slug])


def _headline(each: Offer) -> str:
    start = _("Module of the month: {title}") if each.is_module else _("New: {title}")
    return start.format(title=each.course.title)


def _summary(each: Offer) -> str:
    return each.course.description or f"{each.course.area.name}. {each.level_in_words}"


def _text(text: str) -> str:
    return _NOT_IN_XML.sub("", text)


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time()))
