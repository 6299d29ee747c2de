"""What came of trying to make a provider agree, written down while the lease is still ours; and who is told."""

from __future__ import annotations

import logging
import random
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, Value
from django.db.models.functions import Coalesce

from catalog import breaker, line
from catalog.models import ProviderLine
from catalog.provider.client import Account
from catalog.provider.errors import (
    PERHAPS_WIDE,
    PROVIDER_WIDE,
    ProviderError,
    RateLimited,
    Refused,
    Unclear,
)
from enrollment import history
from enrollment.agreeing import Task
from enrollment.models import Enrollment, Event, Letter, ProviderAccount
from enrollment.models.enrollment import EnrollmentQuerySet
from libraries.models import User

logger = logging.getLogger(__name__)

MOST_ATTEMPTS = 20
# Of a refusal that may concern everybody (`PERHAPS_WIDE`): fewer than take the line down, so that an account which
# meets it alone is stuck before that.
MOST_REFUSALS = breaker.MOST_FAILURES - 1
_FIRST_WAIT, _LONGEST_WAIT = 2.0, 900.0
# Tries that say nothing about the account count no further than this: they reach the longest wait, but however long the
# provider is away, nobody has to ask for another try when it is back.
_PATIENT = 10
# An account to be erased is looked at so often until it is gone, and for so long before a person has to look.
ERASED_WITHIN, LOOK_AGAIN = timedelta(days=7), timedelta(hours=1)
NOT_ERASED_YET = "not_erased_yet"
# Unclear, but about this one account.
_OWN = frozenset({"changed_meanwhile", "gone"})
# What a row waits for that is not brought forward when the provider is back. What may be its own trouble would else
# take the line down again at once, and never count.
_NOT_FOR_THE_LINE = (*_OWN, *PERHAPS_WIDE, NOT_ERASED_YET, "rate_limited")

Seen = ProviderAccount.Seen


class LeaseLost(line.NotSent):
    """Somebody else has claimed the row since: nothing more is sent or written."""


def ails_everybody(error: ProviderError) -> bool:
    """No account is to blame, and every other would meet the same."""
    if isinstance(error, Refused):
        return error.code in PROVIDER_WIDE | PERHAPS_WIDE
    return not (isinstance(error, Unclear) and error.code in _OWN)


# --- It agrees ---


def publish_seen(account: ProviderAccount, seen: Account | None, task: Task | None, *, now: datetime) -> None:
    """`task` None: nobody was asked."""
    if account.must_be_erased and seen is not None:
        _publish_not_erased(account, seen, now=now)
        return
    try:
        _publish_agreed(account, seen, task, now=now)
    except IntegrityError:  # another account of ours has this id of the provider's
        publish_stuck(account, "same_id", now=now)


@transaction.atomic
def _publish_agreed(account: ProviderAccount, seen: Account | None, task: Task | None, *, now: datetime) -> None:
    before = account.seen
    outcome = _looked(seen, now) | {
        "trouble": "",
        "answer": "",
        "told": task.told if task and account.must_be_active else "",
        # The first time: a certificate tells it, and somebody may look again.
        "erased_at": (account.erased_at or now) if account.must_be_erased else None,
    }
    if not _publish(account, due_at=None, now=now, **outcome):
        return
    account.refresh_from_db()
    if account.is_ready:
        tell_ready(account, now=now)
    elif not account.must_be_active and account.due_at is None and account.seen != before:
        if account.must_be_erased:
            record_latest(account, Event.Kind.ACCOUNT_ERASED, now=now)
        elif seen is not None or before != Seen.UNKNOWN:  # else there never was one to close
            record_latest(account, Event.Kind.ACCOUNT_CLOSED, now=now)


def _looked(seen: Account | None, now: datetime) -> dict[str, Any]:
    state = Seen.ABSENT if seen is None else Seen.ACTIVE if seen.active else Seen.INACTIVE
    return {"seen": state, "seen_at": now, "remote_id": seen.remote_id if seen else ""}


def _publish_not_erased(account: ProviderAccount, seen: Account, *, now: datetime) -> None:
    """The provider may take days over it: it is asked again by the hour, which counts as no attempt. Since when, is
    kept in `turn_at`, that nobody needs any more."""
    since = account.turn_at if account.trouble == NOT_ERASED_YET else now
    looked = _looked(seen, now) | {"turn_at": since, "attempts": 1, "erased_at": None, "answer": ""}
    if since + ERASED_WITHIN <= now:
        publish_stuck(account, NOT_ERASED_YET, now=now)
    else:
        _publish(account, due_at=now + LOOK_AGAIN, now=now, trouble=NOT_ERASED_YET, **looked)


# --- It does not ---


def publish_trouble(account: ProviderAccount, error: ProviderError, *, now: datetime) -> None:
    logger.warning("account %s, attempt %s: %s", account.pk, account.attempts, error.code)
    answer = str(getattr(error, "answer", "") or "")[:2000]
    waits_for_line = _is_not_its_fault(account, error)
    if waits_for_line:
        account.attempts = min(account.attempts, _PATIENT)
    elif account.attempts >= _most_attempts(error):
        publish_stuck(account, error.code, now=now, answer=answer)
        return
    # Where the provider may be away, somebody must be due whenever a probe is.
    longest = breaker.LONGEST_WAIT if waits_for_line else _LONGEST_WAIT
    wait = min(_FIRST_WAIT * 2.0 ** (account.attempts - 1), longest)
    wait *= random.uniform(0.5, 1.0)  # spreads the tries, guards nothing
    if error.after is not None:
        wait = max(wait, error.after)
    due_at = now + timedelta(seconds=wait)
    _publish(account, due_at=due_at, now=now, trouble=error.code, attempts=account.attempts, answer=answer)


def _most_attempts(error: ProviderError) -> int:
    if not isinstance(error, Refused):
        return MOST_ATTEMPTS
    return MOST_REFUSALS if error.code in PERHAPS_WIDE else 1


def _is_not_its_fault(account: ProviderAccount, error: ProviderError) -> bool:
    """Only while the provider is down does it say nothing about the account that it was not reached, that the outcome
    of a write is unclear, or a refusal that may be for everybody: as long as others are answered, it does."""
    if isinstance(error, RateLimited) or error.code == "no_turn":
        return True
    if isinstance(error, Refused) and error.code not in PERHAPS_WIDE:
        return error.code in PROVIDER_WIDE
    lines = ProviderLine.objects.filter(provider_id=account.provider_id, down_since__isnull=False)
    return ails_everybody(error) and lines.exists()


def put_back(account: ProviderAccount, *, after: float | None, now: datetime) -> None:
    """Its turn did not come, and nothing was sent: it is as if nobody had claimed it."""
    as_before: dict[str, Any] = {"attempts": account.attempts - 1}
    if account.is_first_claim:
        as_before["first_claimed_at"] = None
    _publish(account, due_at=now + timedelta(seconds=max(after or 0.0, 1.0)), now=now, **as_before)


@transaction.atomic
def publish_stuck(account: ProviderAccount, trouble: str, *, now: datetime, answer: str = "") -> None:
    if not _publish(account, due_at=account.due_at, now=now, trouble=trouble, answer=answer, stuck_at=now):
        return
    account.refresh_from_db(fields=["stuck_at"])
    if account.stuck_at is not None:  # else something else is owed since, and gets its own tries
        logger.error("account %s is stuck: %s", account.pk, trouble)
        record_latest(account, Event.Kind.ACCOUNT_STUCK, now=now, reason=trouble[:20])


def lose(account: ProviderAccount, *, now: datetime) -> None:
    """Whoever has lost the lease may have changed something after another's look: then somebody has to look again."""
    logger.warning("account %s: somebody else has taken over, nothing is written", account.pk)
    again = ProviderAccount.objects.filter(pk=account.pk)
    again.update(due_at=Coalesce(F("due_at"), Value(now)), version=F("version") + 1)


def _publish(account: ProviderAccount, *, due_at: datetime | None, now: datetime, **outcome: Any) -> bool:
    if ProviderAccount.objects.publish(account, due_at=due_at, **outcome):
        return True
    lose(account, now=now)
    return False


# --- The provider is back ---


@transaction.atomic
def bring_forward(provider_id: int, *, now: datetime) -> int:
    """Who waits only because the provider was away is due now, in their turns; says how many. Whoever is being changed
    right now is left out: nobody waits for a lock here."""
    waiting = ProviderAccount.objects.filter(provider_id=provider_id, due_at__gt=now, stuck_at=None, lease_token=None)
    mine = waiting.tried().exclude(trouble__in=_NOT_FOR_THE_LINE)
    locked = mine.select_for_update(skip_locked=True, no_key=True).values("pk")
    return ProviderAccount.objects.filter(pk__in=locked).update(due_at=now, attempts=0)


def end_probe(provider_id: int, *, now: datetime, is_well: bool = True) -> bool:
    """Whoever was granted a probe has done what was to be done. Where no call was made, another may be the probe. Says
    whether the provider is back; then nobody waits for it any more, unless something else went wrong (`is_well`)."""
    if ProviderLine.objects.filter(pk=provider_id, down_since__isnull=False).exists():
        line.release(provider_id, now=now)
        return False
    if is_well:
        bring_forward(provider_id, now=now)
    return True


# --- Who is told ---


def tell_ready(account: ProviderAccount, *, now: datetime) -> None:
    """One letter and one event for each seat, however often the account is looked at."""
    seats = enrollments(account).filter(state=Enrollment.State.SEATED)
    to_tell = list(untold(seats).order_by("id"))
    history.record_each([(Event.Kind.ACCOUNT_OPENED, enrollment) for enrollment in to_tell], now=now)
    Letter.objects.owe_each(Letter.Kind.ACCOUNT_READY, to_tell, now=now)


def untold(places: EnrollmentQuerySet) -> EnrollmentQuerySet:
    """Those whose member has not read that the account is ready."""
    return places.exclude(letters__kind=Letter.Kind.ACCOUNT_READY)


def record_latest(
    account: ProviderAccount,
    kind: Event.Kind,
    *,
    now: datetime,
    by: User | None = None,
    reason: str = "",
    words: str = "",
) -> None:
    """An account's troubles are told on the path of the person's latest application at this provider. What a person
    decides about one without any is recorded too; not their words, which an erasure would not find there."""
    latest = enrollments(account).order_by("-applied_at", "-id").first()
    if latest is not None:
        history.record(kind, now=now, by=by, enrollment=latest, reason=reason, words=words)
    elif by is not None:
        provider_id = account.provider_id
        history.record(kind, now=now, by=by, reason=reason, provider_id=provider_id, new_value=account.pk)


def enrollments(account: ProviderAccount) -> EnrollmentQuerySet:
    mine = Enrollment.objects.filter(user_id=account.user_id, pool__programme__provider_id=account.provider_id)
    return mine.select_related("share")
