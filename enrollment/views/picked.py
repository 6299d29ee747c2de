"""Where a tool's answer comes in when courses were picked there: posted by the browser of whoever went, whom no cookie
names here. What was picked is looked at in the workplace.

Nothing of what was sent is repeated, in a page or in a log.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from http import HTTPStatus
from urllib.parse import parse_qsl

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.request import UnreadablePostError
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import override
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from enrollment.launch import picking
from enrollment.launch.tool_keys import Flaw, NotBelieved
from enrollment.models import Picking
from enrollment.views.bodies import TooMuch, body_of
from enrollment.views.lti import language_of
from libraries import limits
from libraries.accounts import network_of

logger = logging.getLogger(__name__)

MOST_BYTES, MOST_FIELDS = picking.LONGEST_TOKEN + 8 * 1024, 10
FORM_TYPE = "application/x-www-form-urlencoded"
# Of a network only what is refused counts.
MOST_REFUSED, PERIOD = 60, timedelta(hours=1)


@csrf_exempt
@never_cache
@require_POST
def receive(request: HttpRequest) -> HttpResponse:
    """LTI Deep Linking 2.0, 4.5: a form with one field, JWT."""
    now = timezone.now()
    try:
        picked = picking.take(_token(request), now=now)
    except TooMuch as error:
        return _refused(request, error.status)
    except NotBelieved as error:
        logger.warning("a choice of courses is refused: %s", error.flaw.name.lower())
        if not limits.allow("refused choices from", network_of(request), limit=MOST_REFUSED, per=PERIOD, now=now):
            return _refused(request, HTTPStatus.TOO_MANY_REQUESTS)
        unreachable = error.flaw == Flaw.KEYS_UNREACHABLE
        return _refused(request, HTTPStatus.SERVICE_UNAVAILABLE if unreachable else HTTPStatus.BAD_REQUEST)
    return HttpResponseRedirect(_page_of(picked), status=HTTPStatus.SEE_OTHER)


def _token(request: HttpRequest) -> str:
    if request.content_type != FORM_TYPE:
        raise NotBelieved(Flaw.UNREADABLE)
    try:
        text = body_of(request, most=MOST_BYTES).decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except (UnreadablePostError, ValueError):
        raise NotBelieved(Flaw.UNREADABLE) from None
    tokens = [value for name, value in pairs if name == "JWT"]
    if len(tokens) != 1:
        raise NotBelieved(Flaw.UNREADABLE)
    return tokens[0]


def _page_of(picked: Picking) -> str:
    launch = picked.launch
    assert launch is not None
    with override(launch.language):
        return reverse("admin:catalog_tool_picked", args=[picked.tool_id, picked.pk])


def _refused(request: HttpRequest, status: HTTPStatus) -> HttpResponse:
    with override(language_of(request)):
        context = {"page_address": reverse("admin:index")}
        return render(request, "enrollment/lti_not_picked.html", context, status=status)
