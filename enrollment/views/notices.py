"""Where a provider tells something by itself: verified, written down, answered. The work is done later, by workers.

Whoever is not the provider learns nothing here, not even which providers there are; and nothing of what was sent is
repeated, in an answer, an error or a log.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from http import HTTPStatus

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from catalog.models import Provider
from catalog.provider import notices
from catalog.provider.notices import Envelope
from enrollment import noticing, tasks
from enrollment.views.bodies import TooMuch, body_of
from libraries import limits
from libraries.accounts import network_of
from libraries.secrets import find_secret

logger = logging.getLogger(__name__)

# Only what is not signed counts, and what is signed is taken whatever was counted: the provider may share its address
# with others.
MOST_UNSIGNED, PERIOD = 600, timedelta(hours=1)


@csrf_exempt
@never_cache
@require_POST
def receive(request: HttpRequest, slug: str) -> HttpResponse:
    """503 without the database: then the provider sends it again."""
    try:
        body = body_of(request, most=notices.MOST_BYTES)
        return _receive(request, slug, body, now=timezone.now())
    except TooMuch as error:
        return _answer(error.status)
    except UnreadablePostError:
        return _answer(HTTPStatus.BAD_REQUEST)
    except (OperationalError, InterfaceError) as error:
        logger.error("a notice could not be written down: %s", type(error).__name__)
        return _answer(HTTPStatus.SERVICE_UNAVAILABLE, **{"Retry-After": "60"})


def _receive(request: HttpRequest, slug: str, body: bytes, *, now: datetime) -> HttpResponse:
    provider = Provider.objects.filter(slug=slug).only("pk", "webhook_secret_name").first()
    secret = find_secret(provider.webhook_secret_name) if provider and provider.webhook_secret_name else ""
    envelope = _envelope(request)
    try:
        notices.verify(envelope, body, secret=secret, now=now)
    except (notices.Unsigned, notices.Stale) as refusal:
        return _refuse(request, provider, refusal, has_secret=bool(notices.keys(secret)), now=now)
    assert provider is not None
    try:
        notice = notices.read(envelope.id, body, now=now)
    except notices.NotForUs as stranger:
        logger.info("provider %s: a notice that is not for us: %s", provider.pk, stranger)
        return _answer(HTTPStatus.ACCEPTED)
    except notices.Unreadable as unreadable:
        logger.warning("provider %s: a notice cannot be read: %s", provider.pk, unreadable)
        return _answer(HTTPStatus.BAD_REQUEST)
    noticing.store(provider_id=provider.pk, notice=notice, now=now)
    tasks.ring_for_notices()
    return _answer(HTTPStatus.ACCEPTED)


def _envelope(request: HttpRequest) -> Envelope:
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    return Envelope(*(request.headers.get(name, "") for name in names))


def _refuse(
    request: HttpRequest, provider: Provider | None, refusal: Exception, *, has_secret: bool, now: datetime
) -> HttpResponse:
    """One answer, whatever was wrong; why is for the log alone."""
    why = "unknown provider" if provider is None else type(refusal).__name__.lower() if has_secret else "no secret"
    logger.warning("provider %s: a notice is refused: %s", provider.pk if provider else "-", why)
    if not limits.allow("notices from", network_of(request), limit=MOST_UNSIGNED, per=PERIOD, now=now):
        return _answer(HTTPStatus.TOO_MANY_REQUESTS, **{"Retry-After": "3600"})
    return _answer(HTTPStatus.UNAUTHORIZED, **{"WWW-Authenticate": "Webhook-Signature"})


def _answer(status: HTTPStatus, **headers: str) -> HttpResponse:
    return HttpResponse(f"{status.phrase}\n", status=status, content_type="text/plain", headers=headers)
