"""For whoever watches: does the process live, and can it work."""

from datetime import datetime

import redis
from django.conf import settings
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from redis.backoff import NoBackoff
from redis.retry import Retry

from catalog.models import ProviderLine
from enrollment.models import Letter, ProviderAccount

SECONDS_FOR_BROKER = 0.5


@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """The process alone: a database that is away is no reason to start it again."""
    return HttpResponse("ok\n", content_type="text/plain")


@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """503 without the database; without the broker the site still works, more slowly, so that it is 200. What waits for
    a provider that is down is not counted as late: that is told apart."""
    try:
        owed = {"accounts": _age(ProviderAccount), "letters": _age(Letter)}
        down = ProviderLine.objects.filter(down_since__isnull=False).count()
    except Error:
        connection.close()
        return JsonResponse({"status": "down", "database": "down"}, status=503)
    broker = "ok" if _broker_answers() else "degraded"
    return JsonResponse(
        {"status": broker, "database": "ok", "broker": broker, "oldest_owed_seconds": owed, "providers_down": down}
    )


def _age(model: type[Letter] | type[ProviderAccount]) -> int | None:
    """For how many seconds the oldest owed work waits past its time; None where nothing is owed."""
    oldest: datetime | None = model.objects.oldest_owed_at()
    return None if oldest is None else max(0, int((timezone.now() - oldest).total_seconds()))


def _broker_answers() -> bool:
    client = redis.Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=SECONDS_FOR_BROKER,
        socket_timeout=SECONDS_FOR_BROKER,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        return bool(client.ping())
    except (redis.RedisError, OSError):
        return False
    finally:
        client.close()
