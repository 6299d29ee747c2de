"""What providers tell by themselves: written down at once, worked on later, in any order and any number of times.

A notice is a hint, never the truth: it makes somebody look at the provider (`provisioning`), or it tells that a seat is
used. The one thing decided here is that an account which must be open, and which the provider says it has closed, waits
for a person: opening it again unasked would undo what somebody there has decided.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db import transaction
from django.db.models import F

from catalog.models import Course
from catalog.provider.notices import Notice
from enrollment import outcomes, using
from enrollment.launch import scoring
from enrollment.merge_plan import whose_now
from enrollment.models import CourseRun, Event, ProviderAccount, ProviderNotice

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=30)
MOST_ATTEMPTS = 10
KEPT_FOR = timedelta(days=90)
# What we change at a provider it may tell us as a change. If it also writes names its own way, we would correct each
# other for ever: what was looked at just now, or is being worked on, is looked at again only after a while.
CALM = timedelta(seconds=30)
CLOSED_THERE = "closed_there"
_FIRST_WAIT = timedelta(seconds=5)
# Of a notice about somebody who is erased: that it came, and its number, so that it counts once.
_NOBODYS: dict[str, Any] = {"external_id": None, "remote_id": "", "course_code": "", "percent": None}

Seen = ProviderAccount.Seen


class Outcome(StrEnum):
    """What came of a notice."""

    LOOK = "look"  # the account is looked at
    STUCK = "stuck"  # closed there, to be open here: a person decides
    WAITS = "waits"  # the account was stuck already
    USED = "used"  # the first sign that a seat is used
    NOTED = "noted"  # nothing new
    UNKNOWN = "unknown"  # no account of ours
    FAILED = "failed"  # tried again and again


def store(*, provider_id: int, notice: Notice, now: datetime) -> None:
    """Once, however often it is delivered, and by however many at once."""
    row = ProviderNotice(
        provider_id=provider_id,
        notice_id=notice.id,
        kind=notice.kind,
        received_at=now,
        occurred_at=notice.occurred_at,
        external_id=notice.external_id,
        remote_id=notice.remote_id,
        course_code=notice.course_code,
        percent=notice.percent,
        due_at=now,
    )
    ProviderNotice.objects.bulk_create([row], ignore_conflicts=True)


def settle_next(*, now: Callable[[], datetime]) -> bool:
    """Claim one notice that is due and do what it asks for; says whether there was one."""
    notice = ProviderNotice.objects.claim(now=now(), lease=LEASE)
    if notice is None:
        return False
    if notice.attempts > MOST_ATTEMPTS:
        logger.error("notice %s is given up: %s", notice.pk, notice.trouble or "crashed")
        ProviderNotice.objects.publish(notice, due_at=None, outcome=Outcome.FAILED)
        return True
    try:
        _settle(notice, now=now())
    except Exception as error:  # whatever ails this one, the others go on
        logger.warning("notice %s, attempt %s: %s", notice.pk, notice.attempts, type(error).__name__)
        due_at = now() + _FIRST_WAIT * 2 ** (notice.attempts - 1)
        ProviderNotice.objects.publish(notice, due_at=due_at, trouble=type(error).__name__[:50])
    return True


def forget(*, now: datetime) -> int:
    """Drop notices that were done with long ago; say how many."""
    old = ProviderNotice.objects.filter(due_at=None, received_at__lte=now - KEPT_FOR)
    dropped, _by_model = old.delete()
    return dropped


class _Overtaken(Exception):
    """The lease is somebody else's by now: so is the work, and ours is undone."""


def _settle(notice: ProviderNotice, *, now: datetime) -> None:
    """What it changes and its outcome are one transaction: no other system is asked."""
    try:
        with transaction.atomic():
            account = _account(notice)
            outcome = Outcome.UNKNOWN if account is None else _work(account, notice, now=now)
            forgotten = _NOBODYS if account is not None and account.must_be_erased else {}
            if not ProviderNotice.objects.publish(notice, due_at=None, outcome=outcome, trouble="", **forgotten):
                raise _Overtaken
    except _Overtaken:
        logger.warning("notice %s: somebody else has taken over, nothing is written", notice.pk)


def _work(account: ProviderAccount, notice: ProviderNotice, *, now: datetime) -> Outcome:
    if notice.kind == ProviderNotice.Kind.PROGRESS:
        return _note_progress(account, notice, now=now)
    if account.stuck_at is not None:
        return Outcome.WAITS
    if notice.kind == ProviderNotice.Kind.ACCOUNT_CLOSED and _is_news(account, notice, now=now):
        return _wait_for_a_person(account, now=now)
    return _look(account, now=now)


def _account(notice: ProviderNotice) -> ProviderAccount | None:
    """Our id goes before the provider's, which another account may have had before. Locked where it may be changed:
    seats, which progress is about, come before accounts in the order of locks."""
    rows = ProviderAccount.objects.filter(provider_id=notice.provider_id)
    if notice.kind != ProviderNotice.Kind.PROGRESS:
        rows = rows.select_for_update(no_key=True)
    by_ours = rows.filter(external_id=notice.external_id).first() if notice.external_id else None
    return by_ours or (rows.filter(remote_id=notice.remote_id).first() if notice.remote_id else None)


def _is_news(account: ProviderAccount, notice: ProviderNotice, *, now: datetime) -> bool:
    """Open as far as we know, and it was closed after we looked. Our own closings are told too: late, perhaps when the
    same person has a new seat."""
    if not account.must_be_active or account.seen != Seen.ACTIVE or _is_leased(account, now):
        return False
    return account.seen_at is None or notice.occurred_at > account.seen_at


def _wait_for_a_person(account: ProviderAccount, *, now: datetime) -> Outcome:
    """To try again is to open it again; to give up frees the seat."""
    stuck = {**ProviderAccount.debt(now), "stuck_at": now, "trouble": CLOSED_THERE, "answer": ""}
    _change(account, **stuck, seen=Seen.INACTIVE, seen_at=now)
    outcomes.record_latest(account, Event.Kind.ACCOUNT_TOLD, now=now, reason=CLOSED_THERE)
    return Outcome.STUCK


def _look(account: ProviderAccount, *, now: datetime) -> Outcome:
    """Also while somebody works on it, who may have looked before: the newer debt outlives what they publish. A debt
    that is due sooner stays so, with its attempts: a flood of notices is no reason to hurry."""
    if account.due_at is not None and not _is_leased(account, now):
        _change(account, version=F("version") + 1)
        return Outcome.LOOK
    just_now = _is_leased(account, now) or (account.seen_at is not None and account.seen_at > now - CALM)
    _change(account, **ProviderAccount.debt(now + CALM if just_now else now))
    return Outcome.LOOK


def _note_progress(account: ProviderAccount, notice: ProviderNotice, *, now: datetime) -> Outcome:
    user_id = whose_now(account.user_id)
    used = bool(notice.percent) and using.note_progress(
        user_id=user_id,
        provider_id=account.provider_id,
        course_code=notice.course_code,
        at=min(notice.occurred_at, now),
        now=now,
    )
    if not account.must_be_erased:
        _note_run(user_id, notice, now=now)
    return Outcome.USED if used else Outcome.NOTED


def _note_run(user_id: int, notice: ProviderNotice, *, now: datetime) -> None:
    """The same as a tool's score, where the course was started from here: all of it is a finish, as a notice has no
    other word for that."""
    course = Course.objects.filter(provider_id=notice.provider_id, code=notice.course_code).first()
    if course is None or notice.percent is None:
        return
    activity = CourseRun.Activity.COMPLETED if notice.percent == 100 else CourseRun.Activity.IN_PROGRESS
    told = scoring.Told(notice.occurred_at, activity, notice.percent / 100)
    with contextlib.suppress(scoring.Unknown, scoring.Older):
        scoring.write(user_id=user_id, course=course, told=told, now=now)


def _is_leased(account: ProviderAccount, now: datetime) -> bool:
    return account.lease_until is not None and account.lease_until > now


def _change(account: ProviderAccount, **changes: Any) -> None:
    ProviderAccount.objects.filter(pk=account.pk).update(**changes)
