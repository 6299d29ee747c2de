"""Make a provider agree with what must be, one account at a time; safe to run at any time, twice, by anyone.

A row that is due is claimed under a lease in a short transaction, the provider is asked outside any, and the outcome
is published only while the lease is still ours. Whoever was killed in between is followed by whoever claims the row
when the lease has run out; looking before acting keeps that from making a second account.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Coalesce

from catalog.models import Provider
from catalog.provider import registry
from catalog.provider.client import Account, Connection, Person, ProviderClient
from catalog.provider.errors import ProviderError, RateLimited, Refused, Unreachable
from enrollment import history
from enrollment.models import Enrollment, Event, Letter, ProviderAccount
from enrollment.models.enrollment import EnrollmentQuerySet
from libraries.models import User

logger = logging.getLogger(__name__)

# Longer than the calls of one attempt together (look, create or change), shorter than a minute with the sweep after it.
CALL_DEADLINE = 12.0
LEASE = timedelta(seconds=40)
MOST_ATTEMPTS = 20
# An account that is opened takes a look and a create (`_agree`).
CALLS_TO_OPEN = 2
_FIRST_WAIT, _LONGEST_WAIT = 2.0, 900.0
# Tries that found the provider away count no further than this: they reach the longest wait, but however long it is
# away, nobody has to ask for another try when it is back.
_PATIENT = 10

Seen = ProviderAccount.Seen
SecretOf = Callable[[str], str]


@dataclass(frozen=True)
class _Task:
    """What the provider has to be told, read before the calls begin."""

    must_be_active: bool
    person: Person


def settle_next(*, secret_of: SecretOf, now: Callable[[], datetime]) -> bool:
    """Claim one due account and make its provider agree; says whether there was one.

    `secret_of` gives the token that goes with a provider's `secret_name`.
    """
    account = ProviderAccount.objects.claim(now=now(), lease=LEASE)
    if account is None:
        return False
    if account.attempts > MOST_ATTEMPTS:
        _publish_stuck(account, account.trouble or "crashed", now=now())
        return True
    try:
        seen = _agree(account, secret_of)
    except ProviderError as error:
        _publish_trouble(account, error, now=now())
    else:
        _publish_seen(account, seen, now=now())
    return True


def _agree(account: ProviderAccount, secret_of: SecretOf) -> Account | None:
    task = _task(account)
    client = _client(account.provider, secret_of)
    seen = client.find(task.person.external_id)
    if not task.must_be_active:
        return client.close(seen) if seen and seen.active else seen
    if seen is None:
        return client.create(task.person)
    return seen if _agrees(seen, task) else client.open(seen, task.person)


def _agrees(seen: Account, task: _Task) -> bool:
    return seen.active and (seen.email or "").lower() == task.person.email


def _task(account: ProviderAccount) -> _Task:
    user = User.objects.get(pk=account.user_id)
    person = Person(
        external_id=str(account.external_id),
        email=user.email,
        first_name=user.first_name,
        last_name=user.last_name,
        language=user.language,
    )
    return _Task(account.must_be_active, person)


def _client(provider: Provider, secret_of: SecretOf) -> ProviderClient:
    try:
        token = secret_of(provider.secret_name)
    except LookupError:
        raise Refused("no_secret", f"the environment has no {provider.secret_name}") from None
    return registry.client_for(provider.kind, Connection(provider.base_url, token, deadline=CALL_DEADLINE))


# --- Outcomes ---


@transaction.atomic
def _publish_seen(account: ProviderAccount, seen: Account | None, *, now: datetime) -> None:
    state = Seen.ABSENT if seen is None else Seen.ACTIVE if seen.active else Seen.INACTIVE
    before = account.seen
    outcome = {"seen": state, "seen_at": now, "trouble": "", "remote_id": seen.remote_id if seen else ""}
    if not _publish(account, due_at=None, now=now, **outcome):
        return
    account.refresh_from_db()
    if account.is_ready:
        _tell_ready(account, now=now)
    elif not account.must_be_active and account.due_at is None and state != before:
        _record_latest(account, Event.Kind.ACCOUNT_CLOSED, now=now)


def _publish_trouble(account: ProviderAccount, error: ProviderError, *, now: datetime) -> None:
    logger.warning("account %s, attempt %s: %s", account.pk, account.attempts, error.code)
    if isinstance(error, Unreachable | RateLimited):
        account.attempts = min(account.attempts, _PATIENT)
    if isinstance(error, Refused) or account.attempts >= MOST_ATTEMPTS:
        _publish_stuck(account, error.code, now=now)
        return
    wait = min(_FIRST_WAIT * 2.0 ** (account.attempts - 1), _LONGEST_WAIT)
    wait *= random.uniform(0.5, 1.0)  # spreads the tries, guards nothing
    if error.after is not None:
        wait = max(wait, error.after)
    due_at = now + timedelta(seconds=wait)
    _publish(account, due_at=due_at, now=now, trouble=error.code, attempts=account.attempts)


@transaction.atomic
def _publish_stuck(account: ProviderAccount, trouble: str, *, now: datetime) -> None:
    if not _publish(account, due_at=account.due_at, now=now, trouble=trouble, stuck_at=now):
        return
    account.refresh_from_db(fields=["stuck_at"])
    if account.stuck_at is not None:  # else something else is owed since, and gets its own tries
        logger.error("account %s is stuck: %s", account.pk, trouble)
        _record_latest(account, Event.Kind.ACCOUNT_STUCK, now=now, reason=trouble[:20])


def _publish(account: ProviderAccount, *, due_at: datetime | None, now: datetime, **outcome: Any) -> bool:
    """Whoever has lost the lease may have changed something after another's look: then somebody has to look again."""
    if ProviderAccount.objects.publish(account, due_at=due_at, **outcome):
        return True
    logger.warning("account %s: somebody else has taken over, nothing is written", account.pk)
    again = ProviderAccount.objects.filter(pk=account.pk)
    again.update(due_at=Coalesce(F("due_at"), Value(now)), version=F("version") + 1)
    return False


def _tell_ready(account: ProviderAccount, *, now: datetime) -> None:
    """One letter and one event for each seat, however often the account is looked at."""
    seats = _enrollments(account).filter(state=Enrollment.State.SEATED)
    untold = list(seats.exclude(letters__kind=Letter.Kind.ACCOUNT_READY).order_by("id"))
    history.record_each([(Event.Kind.ACCOUNT_OPENED, enrollment) for enrollment in untold], now=now)
    Letter.objects.owe_each(Letter.Kind.ACCOUNT_READY, untold, now=now)


def _record_latest(
    account: ProviderAccount, kind: Event.Kind, *, now: datetime, by: User | None = None, reason: str = ""
) -> None:
    """An account's troubles are told on the path of the person's latest application at this provider."""
    latest = _enrollments(account).order_by("-applied_at", "-id")[:1]
    history.record_each([(kind, enrollment) for enrollment in latest], now=now, by=by, reason=reason)


def _enrollments(account: ProviderAccount) -> EnrollmentQuerySet:
    mine = Enrollment.objects.filter(user_id=account.user_id, pool__programme__provider_id=account.provider_id)
    return mine.select_related("share")


# --- By hand ---


def try_again(pk: int, *, by: User, now: datetime) -> bool:
    """A person asks for another try of a stuck account, recorded; says whether it was stuck."""
    with transaction.atomic():
        stuck = ProviderAccount.objects.stuck().filter(pk=pk)
        account = stuck.select_for_update(no_key=True).first()
        if account is None:
            return False
        stuck.update(**ProviderAccount.debt(now))
        _record_latest(account, Event.Kind.ACCOUNT_RETRIED, now=now, by=by)
    return True
