"""Read a provider's whole list and compare it with what must be there; nothing is repaired by that (docs/adr/0022).

A comparison is owed work: claimed under a lease that is renewed for every part of the list, which is written down at
once, so that memory does not grow with it. Whoever takes over after a crash begins anew: a list is only worth something
in one piece.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from django.db import IntegrityError, transaction

from catalog import line, reaching
from catalog.line import Admission
from catalog.provider.client import MOST_AT_ONCE, ProviderClient
from catalog.provider.errors import ProviderError, Refused
from catalog.reaching import SecretOf
from enrollment import agreeing, comparing, history, outcomes
from enrollment.comparing import Counts
from enrollment.models import Difference, Event, Letter, ProviderAccount, Reconciliation
from enrollment.outcomes import LeaseLost
from libraries import scoping
from libraries.models import User

logger = logging.getLogger(__name__)

CALL_DEADLINE = 20.0
# Longer than a wait for a turn, a call after it, and writing down what came.
LEASE = timedelta(seconds=60)
MOST_ATTEMPTS = 8
_FIRST_WAIT, _LONGEST_WAIT = 30.0, 1800.0
# A list without an end is no list: 2,000,000 accounts in parts of 200.
MOST_PARTS = 10_000
# In bytes.
_LARGEST_PART = 10_000_000
# A difference of fewer accounts is never unusual.
_FEW = 3
# The last comparison that was trusted stays longer: the next one is measured by it.
KEPT_FOR = timedelta(days=90)

Doubt = Reconciliation.Doubt
Clock = Callable[[], datetime]


@dataclass(frozen=True)
class _Read:
    """What was read to the end, or not; `total` is the least that the provider said there were while it was read."""

    began: datetime
    total: int | None
    broke_off: bool = False


def ask(*, provider_id: int, by: User | None, now: datetime) -> Reconciliation | None:
    """Owe a comparison with this provider; None where one is owed already: that is tried now."""
    try:
        with transaction.atomic():
            return Reconciliation.objects.create(provider_id=provider_id, asked_by=by, asked_at=now, due_at=now)
    except IntegrityError:
        waiting = Reconciliation.objects.owed().filter(provider_id=provider_id, stuck_at=None, lease_token=None)
        waiting.filter(due_at__gt=now).update(due_at=now)
        return None


def ask_all(*, now: datetime) -> int:
    """Every provider that has accounts of ours; says how many comparisons are owed anew."""
    ids = ProviderAccount.objects.order_by("provider_id").values_list("provider_id", flat=True).distinct()
    return sum(ask(provider_id=pk, by=None, now=now) is not None for pk in ids)


def compare_next(*, secret_of: SecretOf, now: Clock, only: Reconciliation | None = None) -> bool:
    """Claim one comparison that is due (this one, where it is named), and make it; says whether there was one."""
    run, admission = _claim(now(), only)
    if run is None:
        return False
    if run.attempts > MOST_ATTEMPTS:
        _stop(run, run.trouble or "crashed", now=now())
    else:
        _make(run, secret_of, now)
    if admission == Admission.PROBE:
        outcomes.end_probe(run.provider_id, now=now())
    return True


def _make(run: Reconciliation, secret_of: SecretOf, now: Clock) -> None:
    try:
        _conclude(run, _read(run, secret_of, now), now=now())
    except LeaseLost:
        logger.warning("comparison %s: somebody else has taken over, nothing is written", run.pk)
    except ProviderError as error:
        _try_later(run, error, now=now())


def _claim(now: datetime, only: Reconciliation | None) -> tuple[Reconciliation | None, Admission]:
    runs = Reconciliation.objects.filter(pk=only.pk) if only else Reconciliation.objects.all()
    for provider_id in runs.due(now).order_by("due_at", "pk").values_list("provider_id", flat=True):
        admission = line.admits(provider_id, now=now)
        if admission != Admission.CLOSED:
            run = runs.filter(provider_id=provider_id).claim(now=now, lease=LEASE)
            if run is not None:
                return run, admission
        if admission == Admission.PROBE:  # somebody else has taken what was due
            line.release(provider_id, now=now)
    return None, Admission.CLOSED


# --- Reading the list ---


def _read(run: Reconciliation, secret_of: SecretOf, now: Clock) -> _Read:
    began = now()
    client = reaching.client_of(
        run.provider,
        secret_of=secret_of,
        deadline=CALL_DEADLINE,
        turn=partial(_turn, run, now),
        max_bytes=_LARGEST_PART,
    )
    with transaction.atomic():
        _hold(run, now())
        comparing.forget_list(run)
    if not client.has_list:
        return _read_ours(run, client, began, now)
    after, total = None, None
    for _part in range(MOST_PARTS):
        try:
            page = client.page(after)
        except Refused as refusal:
            if refusal.code != "paging_ignored":
                raise
            return _Read(began, total, broke_off=True)
        with transaction.atomic():
            _hold(run, now())
            comparing.keep(run, page.accounts)
        if page.total is not None:
            total = page.total if total is None else min(total, page.total)
        after = page.after
        if after is None:
            return _Read(began, total)
    return _Read(began, total, broke_off=True)


def _read_ours(run: Reconciliation, client: ProviderClient, began: datetime, now: Clock) -> _Read:
    """Where there is no list, each of our accounts is asked about: what else is there, nobody sees."""
    accounts, last = ProviderAccount.objects.filter(provider_id=run.provider_id).order_by("pk"), 0
    while rows := list(accounts.filter(pk__gt=last).values_list("pk", "external_id")[:MOST_AT_ONCE]):
        found = client.find_many([str(external_id) for _pk, external_id in rows])
        with transaction.atomic():
            _hold(run, now())
            comparing.keep(run, found)
        last = rows[-1][0]
    return _Read(began, None)


def _hold(run: Reconciliation, now: datetime) -> None:
    """The lease is ours, and stays so until the end of the transaction."""
    if not Reconciliation.objects.renew(run, now=now, lease=LEASE):
        raise LeaseLost


@contextmanager
def _turn(run: Reconciliation, now: Clock, *, writes: bool) -> Iterator[None]:
    _hold(run, now())
    with line.turn(run.provider_id, expires=CALL_DEADLINE + 1, writes=writes):
        yield


# --- What came of it ---


def _conclude(run: Reconciliation, read: _Read, *, now: datetime) -> None:
    # Whose data have changed here meanwhile is owed first, and so left out.
    agreeing.owe_changes(now=now)
    with transaction.atomic():
        _hold(run, now)
        comparing.write_differences(run, began=read.began)
        last = last_trusted(run.provider_id)
        # It may have been asked for long before it could be made.
        since = (last and last.finished_at) or datetime.min.replace(tzinfo=UTC)
        counts = comparing.count(run, began=read.began, since=since)
        doubt = _doubt(run, read, counts, last)
        outcome = {"finished_at": now, "listed": counts.listed, "ours": counts.ours, "doubt": doubt, "trouble": ""}
        Reconciliation.objects.publish(run, due_at=None, **outcome)
        comparing.forget_list(run)
        _tell(run, doubt, counts, now=now)


def last_trusted(provider_id: int) -> Reconciliation | None:
    return Reconciliation.objects.trusted().filter(provider_id=provider_id).order_by("-finished_at", "-pk").first()


def _doubt(run: Reconciliation, read: _Read, counts: Counts, last: Reconciliation | None) -> str:
    if not counts.listed and counts.open_here:
        return Doubt.EMPTY
    if read.broke_off or (read.total is not None and counts.listed < read.total):
        return Doubt.CUT_SHORT
    percent = run.provider.fuse_percent
    expected = max(last.ours - counts.erased, 0) if last else counts.kept
    repairable = run.differences.exclude(repair=Difference.Repair.LOOK).count()
    if (
        (counts.open_here and not counts.ours)
        or _is_unusual(abs(counts.kept - expected), expected, percent)
        or _is_unusual(repairable, max(counts.ours, counts.open_here), percent)
    ):
        return Doubt.SHRUNK
    return ""


def _is_unusual(number: int, of: int, percent: int) -> bool:
    return number >= _FEW and number * 100 > of * percent


def _tell(run: Reconciliation, doubt: str, counts: Counts, *, now: datetime) -> None:
    by, provider_id = run.asked_by, run.provider_id
    history.record(
        Event.Kind.LISTS_COMPARED,
        now=now,
        by=by,
        provider_id=provider_id,
        old_value=counts.listed,
        new_value=counts.ours,
    )
    if doubt:
        history.record(
            Event.Kind.LIST_DOUBTED, now=now, provider_id=provider_id, reason=f"list_{doubt}", new_value=run.pk
        )
        people = scoping.staff_with(scoping.Role.OPERATOR) or scoping.staff_with(scoping.Role.COORDINATOR)
        Letter.objects.owe_to_staff(Letter.Kind.LISTS_DISAGREE, people, now=now, provider_id=provider_id, reason=doubt)


def _try_later(run: Reconciliation, error: ProviderError, *, now: datetime) -> None:
    logger.warning("comparison %s, attempt %s: %s", run.pk, run.attempts, error.code)
    if run.attempts >= MOST_ATTEMPTS:
        _stop(run, error.code, now=now)
        return
    wait = min(_FIRST_WAIT * 2.0 ** (run.attempts - 1), _LONGEST_WAIT)
    wait *= random.uniform(0.5, 1.0)  # spreads the tries, guards nothing
    due_at = now + timedelta(seconds=max(wait, error.after or 0.0))
    Reconciliation.objects.publish(run, due_at=due_at, trouble=error.code)


@transaction.atomic
def _stop(run: Reconciliation, trouble: str, *, now: datetime) -> None:
    """Another may be asked for; what was read is not kept."""
    logger.error("comparison %s is stuck: %s", run.pk, trouble)
    if Reconciliation.objects.publish(run, due_at=run.due_at, stuck_at=now, trouble=trouble):
        comparing.forget_list(run)


# --- By hand, and by the year ---


@transaction.atomic
def trust(pk: int, *, by: User, now: datetime) -> bool:
    """A person has looked, and says that the list is right; recorded. Never an empty one. Says whether it was doubted
    until now."""
    doubted = Reconciliation.objects.filter(pk=pk, trusted_by=None, finished_at__isnull=False)
    run = doubted.exclude(doubt__in=["", Doubt.EMPTY]).select_for_update(no_key=True).first()
    if run is None:
        return False
    Reconciliation.objects.filter(pk=pk).update(trusted_by=by)
    history.record(
        Event.Kind.LIST_TRUSTED, now=now, by=by, provider_id=run.provider_id, reason=f"list_{run.doubt}", new_value=pk
    )
    return True


def forget(*, before: datetime) -> int:
    """Old comparisons, but for the last trusted one of each provider; says how many."""
    kept = Reconciliation.objects.trusted().order_by("provider_id", "-finished_at", "-pk").distinct("provider_id")
    old = Reconciliation.objects.filter(asked_at__lt=before).exclude(pk__in=list(kept.values_list("pk", flat=True)))
    return old.delete()[1].get("enrollment.Reconciliation", 0)
