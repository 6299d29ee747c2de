"""The portal as an LTI 1.3 platform, as tools see it: where they ask who came, and the keys of what is answered."""

from __future__ import annotations

import logging
from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, QueryDict
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import patch_cache_control
from django.utils.translation import get_language_from_request, override
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe

from enrollment.launch import authorizing, keys
from enrollment.launch.authorizing import PARAMETERS, Answer, Unknown
from enrollment.views import allowing

logger = logging.getLogger(__name__)

# Less than a line of a request may hold (gunicorn: 4094 bytes).
_LONGEST_QUERY = 3500


@csrf_exempt
@never_cache
@require_http_methods(["GET", "POST"])
def authorize(request: HttpRequest) -> HttpResponse:
    """Both ways, as platforms must (OpenID Connect core, 3.1.2.1). With a form sent from another site no browser sends
    the cookie of the session (SameSite): it is asked to come back with the same by a link, and then it does."""
    if request.method == "POST":
        return _by_link(request)
    asked = {name: request.GET[name] for name in PARAMETERS if name in request.GET}
    try:
        answer = authorizing.answer(
            asked,
            user_id=request.user.pk,
            repeated=[name for name in asked if len(request.GET.getlist(name)) > 1],
            now=timezone.now(),
        )
    except Unknown as unknown:
        return _unknown(request, str(unknown))
    return _post(request, answer)


@require_safe
def keyset(_request: HttpRequest) -> HttpResponse:
    response = JsonResponse(keys.public_keyset(now=timezone.now()))
    patch_cache_control(response, public=True, max_age=int(keys.FRESH_FOR.total_seconds()))
    return response


def _by_link(request: HttpRequest) -> HttpResponse:
    asked = QueryDict(mutable=True)
    for name in PARAMETERS:
        if name in request.POST:
            asked.setlist(name, request.POST.getlist(name))
    query = asked.urlencode()
    if len(query) > _LONGEST_QUERY:
        return _unknown(request, "too long a form")
    return HttpResponseRedirect(f"{request.path}?{query}", status=HTTPStatus.SEE_OTHER)


def _post(request: HttpRequest, answer: Answer) -> HttpResponse:
    """A form that the browser sends on by itself, or by a button where no script runs."""
    with override(answer.language or language_of(request)):
        page = render(request, "enrollment/lti_post.html", {"answer": answer})
    return allowing.forms_to(answer.origins, request, page)


def _unknown(request: HttpRequest, why: str) -> HttpResponse:
    """A page of ours: nobody is sent to an address that nobody has registered."""
    logger.warning("a start is refused: %s", why)
    with override(language_of(request)):
        return render(request, "enrollment/lti_unknown.html", status=HTTPStatus.BAD_REQUEST)


def language_of(request: HttpRequest) -> str:
    """As the visitor chose it, or that of the letters, or else of the browser: there is one address for all
    languages, and from another site no cookie comes along with a form."""
    chosen = request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME) or getattr(request.user, "language", "")
    return chosen if chosen in dict(settings.LANGUAGES) else get_language_from_request(request)
