"""What the head of a page tells to those who read, index or share it from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django import template
from django.conf import settings
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language

from catalog.models import Course
from enrollment.reports import linked_data
from enrollment.reports.offer import Offer
from enrollment.templatetags.shelf import in_language

register = template.Library()

LOCALES = {"nl": "nl_BE", "fr": "fr_BE", "en": "en_GB"}
# In JSON these mean the same; in a page they cannot end the element they stand in.
_ESCAPES = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


@register.inclusion_tag("_parts/page_links.html", takes_context=True)
def page_links(context: template.Context) -> dict[str, Any]:
    """The page's own address, without what was asked for, and those in the other languages."""
    path = context["request"].path
    return {"canonical": settings.SITE_URL + path, "alternates": list(_alternates(path))}


def _alternates(path: str) -> Iterator[tuple[str, str]]:
    for code, _name in settings.LANGUAGES:
        yield code, settings.SITE_URL + in_language(path, code)
    yield "x-default", settings.SITE_URL + in_language(path, settings.LANGUAGE_CODE)


@register.inclusion_tag("_parts/open_graph.html")
def open_graph(course: Course, description: str) -> dict[str, Any]:
    return {
        "title": course.title,
        "description": description,
        "address": settings.SITE_URL + reverse("course", args=[course.slug]),
        "picture": settings.SITE_URL + reverse("course_picture", args=[course.slug]),
        "locale": LOCALES[get_language() or settings.LANGUAGE_CODE],
    }


@register.simple_tag
def course_data(course: Course, offer: Offer | None, description: str) -> SafeString:
    """A script element that holds data: nothing in it is run, and the content policy lets it be."""
    told = linked_data.course(
        course,
        offer,
        address=settings.SITE_URL + reverse("course", args=[course.slug]),
        picture=settings.SITE_URL + reverse("course_picture", args=[course.slug]),
        description=description,
    )
    # Safe: the signs that mean anything in HTML are escaped as JSON knows it.
    data = mark_safe(json.dumps(told, ensure_ascii=False).translate(_ESCAPES))
    return format_html('<script type="application/ld+json">{}</script>', data)
