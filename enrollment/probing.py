"""Try a provider that is down, also while nobody waits for it: else it would be called down until somebody came."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from uuid import uuid4

from catalog import line, reaching
from catalog.line import Admission
from catalog.provider.errors import ProviderError
from catalog.reaching import SecretOf
from enrollment import outcomes
from enrollment.models import ProviderAccount

CALL_DEADLINE = 12.0


def probe_next(*, secret_of: SecretOf, now: Callable[[], datetime]) -> bool:
    """Ask one provider whose next try has come for an account that is not there; says whether there was one. Left out
    are those for which work is due: that is a try too, and tells more."""
    busy = {provider.pk for provider in ProviderAccount.objects.providers_with_due(now())}
    for provider in line.to_be_tried(now=now()):
        if provider.pk not in busy and line.admits(provider.pk, now=now()) == Admission.PROBE:
            with suppress(ProviderError):  # the line has been told
                reaching.client_of(provider, secret_of=secret_of, deadline=CALL_DEADLINE).find(str(uuid4()))
            outcomes.end_probe(provider.pk, now=now())
            return True
    return False
