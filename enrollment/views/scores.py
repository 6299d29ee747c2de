"""Where a provider's tool gets its token, reads the line item of a course, and tells how far a member is
(AGS 2.0; docs/lti.md). Machines alone come here: no session, no cookie, no page.

Nothing of what was sent is repeated, in an answer or in a log.
"""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import UnreadablePostError
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt

from catalog.models import Course
from enrollment import tasks
from enrollment.launch import addresses, scoring, tokens
from enrollment.models import AccessToken
from enrollment.views.bodies import TooMuch, body_of
from libraries import limits
from libraries.accounts import network_of

logger = logging.getLogger(__name__)

MOST_BYTES, MOST_PARAMETERS = 32 * 1024, 30
SCORE_TYPE = "application/vnd.ims.lis.v1.score+json"
LINE_ITEM_TYPE = "application/vnd.ims.lis.v2.lineitem+json"
FORM_TYPE = "application/x-www-form-urlencoded"
# Of a network only what is refused counts: providers may share one with others.
MOST_REFUSED, PERIOD = 600, timedelta(hours=1)
_CHALLENGE = 'Bearer realm="lti"'
View = Callable[..., HttpResponse]


class _Refusal(Exception):
    """What to answer instead."""

    def __init__(self, status: HTTPStatus, error: str, why: str, **headers: str) -> None:
        super().__init__(error)
        self.status, self.error, self.why, self.headers = status, error, why, headers

    def answer(self) -> HttpResponse:
        return _answer({"error": self.error, "error_description": self.why}, self.status, **self.headers)


def _for_machines(*methods: str) -> Callable[[View], View]:
    """Whatever goes wrong is told in JSON; 503 without the database: then the tool comes again."""

    def of(view: View) -> View:
        @csrf_exempt
        @never_cache
        @functools.wraps(view)
        def wrapper(request: HttpRequest, *args: Any, **named: Any) -> HttpResponse:
            try:
                if request.method not in methods:
                    allowed = {"Allow": ", ".join(methods)}
                    raise _Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "invalid_request", "another method", **allowed)
                return view(request, *args, **named)
            except _Refusal as refusal:
                return _counted(request, refusal)
            except TooMuch as error:
                return _Refusal(error.status, "invalid_request", "the body is too long, or of unknown length").answer()
            except UnreadablePostError:
                return _Refusal(HTTPStatus.BAD_REQUEST, "invalid_request", "the body has not come").answer()
            except (OperationalError, InterfaceError) as error:
                logger.error("a tool could not be answered: %s", type(error).__name__)
                return _unavailable().answer()

        return wrapper

    return of


@_for_machines("POST")
def token(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    try:
        granted = tokens.grant(_parameters(request), now=now)
    except tokens.NotNow:
        raise _unavailable() from None
    except tokens.TooMany:
        raise _too_many(tokens.PERIOD) from None
    except tokens.Refused as refused:
        is_client = refused.error == "invalid_client"
        challenge = {"WWW-Authenticate": _CHALLENGE} if is_client else {}
        status = HTTPStatus.UNAUTHORIZED if is_client else HTTPStatus.BAD_REQUEST
        raise _Refusal(status, refused.error, refused.why, **challenge) from None
    told = {
        "access_token": granted.token,
        "token_type": "Bearer",
        "expires_in": int(tokens.LIFE.total_seconds()),
        "scope": " ".join(granted.scopes),
    }
    return _answer(told)


@_for_machines("GET", "HEAD")
def line_item(request: HttpRequest, course_id: int) -> HttpResponse:
    """One for each course, with the progress from 0 to 1 (AGS 2.0, 3.2.2)."""
    course = _course(_shown(request, tokens.LINE_ITEM), course_id)
    told = {
        "id": addresses.line_item(course.pk),
        "scoreMaximum": 1,
        "label": course.title,
        "resourceId": course.code,
        "resourceLinkId": f"course-{course.pk}",
        "tag": "progress",
    }
    return _answer(told, content_type=LINE_ITEM_TYPE)


@_for_machines("POST")
def scores(request: HttpRequest, course_id: int) -> HttpResponse:
    now = timezone.now()
    course = _course(_shown(request, tokens.SCORE), course_id)
    if request.content_type != SCORE_TYPE:
        raise _Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "invalid_request", f"a score is {SCORE_TYPE}")
    body = body_of(request, most=MOST_BYTES)
    try:
        member, told = scoring.read(_json(body), now=now)
        outcome = scoring.note(course=course, member=member, told=told, now=now)
    except scoring.Unreadable as wrong:
        raise _Refusal(HTTPStatus.BAD_REQUEST, "invalid_request", f"{wrong} is missing or wrong") from None
    except scoring.Unknown:
        raise _unknown("nobody with this userId has started this course") from None
    except scoring.Older:
        raise _Refusal(HTTPStatus.CONFLICT, "conflict", "something later was told before") from None
    if outcome == scoring.Outcome.FINISHED:
        tasks.ring()  # a letter may be owed
    return _answer({})


# --- What was sent ---


def _parameters(request: HttpRequest) -> dict[str, str]:
    """Each once (RFC 6749, 3.2)."""
    if request.content_type != FORM_TYPE:
        raise _Refusal(HTTPStatus.BAD_REQUEST, "invalid_request", f"the body is {FORM_TYPE}")
    try:
        text = body_of(request, most=MOST_BYTES).decode()
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_PARAMETERS, errors="strict")
    except ValueError:
        pairs = []
    found = dict(pairs)
    if len(found) != len(pairs) or not found:
        raise _Refusal(
            HTTPStatus.BAD_REQUEST, "invalid_request", "the parameters cannot be read, or one is there twice"
        )
    return found


def _shown(request: HttpRequest, scope: str) -> AccessToken:
    """RFC 6750, 3."""
    kind, _space, shown = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer":
        challenge = {"WWW-Authenticate": _CHALLENGE}
        raise _Refusal(HTTPStatus.UNAUTHORIZED, "invalid_request", "a token of the token address is asked", **challenge)
    found = tokens.of(shown.strip(), now=timezone.now())
    if found is None:
        challenge = {"WWW-Authenticate": f'{_CHALLENGE}, error="invalid_token"'}
        raise _Refusal(HTTPStatus.UNAUTHORIZED, "invalid_token", "the token is not good, or no longer", **challenge)
    if scope not in found.scopes:
        challenge = {"WWW-Authenticate": f'{_CHALLENGE}, error="insufficient_scope", scope="{scope}"'}
        raise _Refusal(HTTPStatus.FORBIDDEN, "insufficient_scope", "the token was not given for this", **challenge)
    return found


def _course(shown: AccessToken, course_id: int) -> Course:
    """Of the tool's own provider: others are not there."""
    course = Course.objects.filter(pk=course_id, provider_id=shown.tool.provider_id).first()
    if course is None:
        raise _unknown("there is no such course")
    return course


def _json(body: bytes) -> Any:
    try:
        return json.loads(body.decode(), parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise _Refusal(HTTPStatus.BAD_REQUEST, "invalid_request", "the body is no JSON") from None


def _no_number(_word: str) -> NoReturn:
    raise ValueError


# --- What is answered ---


def _counted(request: HttpRequest, refusal: _Refusal) -> HttpResponse:
    """Whoever is refused as a stranger time and again waits."""
    if refusal.status == HTTPStatus.UNAUTHORIZED:
        logger.warning("a tool is refused: %s", refusal.error)
        now = timezone.now()
        if not limits.allow("refused tools from", network_of(request), limit=MOST_REFUSED, per=PERIOD, now=now):
            return _too_many(PERIOD).answer()
    return refusal.answer()


def _unknown(why: str) -> _Refusal:
    return _Refusal(HTTPStatus.NOT_FOUND, "not_found", why)


def _too_many(per: timedelta) -> _Refusal:
    wait = {"Retry-After": str(int(per.total_seconds()))}
    return _Refusal(HTTPStatus.TOO_MANY_REQUESTS, "slow_down", "too many of these", **wait)


def _unavailable() -> _Refusal:
    wait = {"Retry-After": "60"}
    return _Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "temporarily_unavailable", "try again in a minute", **wait)


def _answer(
    told: dict[str, Any], status: HTTPStatus = HTTPStatus.OK, content_type: str = "application/json", **headers: str
) -> HttpResponse:
    answer = JsonResponse(told, status=status, content_type=content_type)
    for name, value in headers.items():
        answer[name] = value
    answer["Pragma"] = "no-cache"  # RFC 6749, 5.1
    return answer
