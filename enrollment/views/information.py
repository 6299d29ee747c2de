"""Pages that say how things are: help, privacy, accessibility; and the colors of an institution."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import cache_control

from enrollment.privacy import PRIVACY_TEXT_VERSION
from libraries import openid
from libraries.colors import accent_for
from libraries.models import Institution


def help_page(request: HttpRequest) -> HttpResponse:
    return render(request, "enrollment/help.html")


def privacy(request: HttpRequest) -> HttpResponse:
    context = {"version": PRIVACY_TEXT_VERSION, "identity_providers": openid.providers()}
    return render(request, "enrollment/privacy.html", context)


def accessibility(request: HttpRequest) -> HttpResponse:
    return render(request, "enrollment/accessibility.html")


@cache_control(public=True, max_age=3600)
def theme(request: HttpRequest, slug: str) -> HttpResponse:
    """The institution's color as a stylesheet, because a strict policy allows no styles in the page."""
    institution = get_object_or_404(Institution, slug=slug)
    context = {"shades": accent_for(institution.color)}
    return render(request, "enrollment/theme.css", context, content_type="text/css; charset=utf-8")
