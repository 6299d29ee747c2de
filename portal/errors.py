"""The pages for what went wrong, in the visitor's language, each with a way on.

None of them asks the database or the session: they have to stand when those do not.
"""

import sys

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.template.loader import render_to_string
from django.utils.translation import get_language_from_path, override


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _page(request, "400.html", status=400)


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _page(request, "403.html", status=403)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return _page(request, "csrf.html", status=403)


def page_not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _page(request, "404.html", status=404)


def too_many_requests(request: HttpRequest) -> HttpResponse:
    """Called by name by allauth, and by our own limits."""
    return _page(request, "429.html", status=429)


def server_error(request: HttpRequest) -> HttpResponse:
    """Called while the error is being handled: a database that is away for a moment is said to be just that."""
    if isinstance(sys.exc_info()[1], OperationalError | InterfaceError):
        response = _page(request, "maintenance.html", status=503)
        response.headers["Retry-After"] = "60"
        return response
    return _page(request, "500.html", status=500)


def _page(request: HttpRequest, template: str, *, status: int) -> HttpResponse:
    language = get_language_from_path(request.path_info) or _remembered(request)
    with override(language):
        context = {"request": request, "csrf_token": get_token(request), "status": status}
        response = HttpResponse(render_to_string(template, context), status=status)
    response.headers["Content-Language"] = language
    response.headers["Cache-Control"] = "no-store"
    return response


def _remembered(request: HttpRequest) -> str:
    chosen = request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME)
    return chosen if chosen in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE
